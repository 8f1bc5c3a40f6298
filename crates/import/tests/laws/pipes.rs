//! What comes through a pipe is read as a file is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use foretaste_data::cache;
use foretaste_import::{Error, Format, Input, Options, export, import};

const CSV: &str = "session,step,shown,chosen,reward\na,0,1 2,1,1\nb,0,2 3,3,1\n";

/// A named pipe through which some bytes come once.
struct Pipe {
    folder: tempfile::TempDir,
    writer: JoinHandle<std::io::Result<()>>,
}

impl Pipe {
    fn new(name: &str, content: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self { folder, writer: std::thread::spawn(move || std::fs::write(path, content)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn finish(self) {
        self.writer.join().unwrap().unwrap();
    }
}

fn through_a_pipe<T>(name: &str, content: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let pipe = Pipe::new(name, content.to_vec());
    let read = read(&pipe.path(name));
    pipe.finish();
    read
}

#[test]
fn every_format_comes_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.csv");
    std::fs::write(&path, CSV).unwrap();
    let (given, _) = import(&path, Options::default()).unwrap();
    for format in
        [Format::Csv, Format::JsonLines, Format::Parquet, Format::GanCdqn, Format::IRecGan]
    {
        let file = folder.path().join("shop");
        export(&given, format, &file).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let (expected, _) = import(&file, Options::default()).unwrap();
        let (dataset, report) =
            through_a_pipe("shop", &bytes, |pipe| import(pipe, Options::default()).unwrap());
        assert_eq!((dataset, report.reading.rows > 0), (expected, true), "{format}");
        assert_eq!(through_a_pipe("shop", &bytes, |pipe| Format::detect(pipe).unwrap()), format);
    }
    cache::save(&given, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(
        through_a_pipe("shop", &bytes, |pipe| Input::open(pipe).unwrap().load().unwrap()),
        given
    );
}

#[test]
fn one_input_is_looked_at_as_often_as_needed() {
    through_a_pipe("shop.csv", CSV.as_bytes(), |pipe| {
        let input = Input::open(pipe).unwrap();
        assert!(!input.is_cache());
        assert_eq!(input.format().unwrap(), Format::Csv);
        for _ in 0..2 {
            assert_eq!(input.import(Options::default()).unwrap().1.summary.name, "shop");
        }
        let copy = input.path().to_owned();
        assert!(copy != pipe && copy.exists());
        drop(input);
        assert!(!copy.exists());
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.csv");
    std::fs::write(&path, CSV).unwrap();
    assert_eq!(Input::open(&path).unwrap().path(), path);
}

#[test]
fn errors_name_the_pipe_and_its_lines() {
    let error = |content: &str| {
        through_a_pipe("given", content.as_bytes(), |pipe| {
            let error = import(pipe, Options::default()).unwrap_err();
            let (Error::Row { path, .. } | Error::File { path, .. }) = &error else {
                panic!("{error}")
            };
            assert_eq!(path, pipe);
            error.to_string()
        })
    };
    assert!(error(&format!("{CSV}c,0,1 2,3,1\n")).contains("given:4: chosen"));
    assert!(error("").contains("is empty"));
    let beside = error("1\t1\t3\t1\n");
    assert!(
        beside.contains(
            "u.item is read from the folder of a log in this format, and a pipe has none"
        ),
        "{beside}"
    );
    let queries = "queryId;sessionId;timeframe;eventdate;items\n1;1;1;2016-05-09;1\n";
    assert!(
        error(queries).contains("train-clicks.csv is read from the folder of a log in this format")
    );
    let folder = tempfile::tempdir().unwrap();
    assert!(
        import(folder.path(), Options::default())
            .unwrap_err()
            .to_string()
            .contains("is a directory")
    );
}
