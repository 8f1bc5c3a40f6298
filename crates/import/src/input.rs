//! From what a user names to files that can be read from any place: pipes and archives are copied,
//! and errors name what was given, not the copy.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatchReader;
use foretaste_data::{Dataset, cache};
use parquet::basic::Compression;
use tempfile::TempDir;

use crate::detect::format_of;
use crate::formats::parquet::write_batches;
use crate::import::import_parts;
use crate::parts::{self, Part};
use crate::{Error, Format, Layout, Options, Report, Result};

/// Reads a log file into a data set, and says what it held.
///
/// Items and users are numbered in the order of their first appearance in the log. The path may be
/// a pipe, a folder, a pattern or an archive, see [`Input`].
///
/// # Errors
/// [`Error::Row`](crate::Error::Row) at the first bad row, with line and field;
/// [`Error::File`](crate::Error::File) for what concerns the whole file: an empty folder or file,
/// a missing column, a header without rows, a truncated archive, more bad rows than may be skipped;
/// [`Error::Setting`](crate::Error::Setting) for slates that cannot be simulated, a seed
/// that nothing is drawn from, or a limit that is no share; [`Error::Files`](crate::Error::Files)
/// when the system refuses.
pub fn import(path: &Path, options: Options<'_>) -> Result<(Dataset, Report)> {
    Input::open(path)?.import(options)
}

/// What to read a log from: files as they lie, or a copy of what came through a pipe or stands in
/// an archive.
///
/// A folder stands for all files below it, in the order of their names (but those that begin with
/// `_` or `.`), and `key=value` in the names of its folders for columns; a pattern such as
/// `day=*/part-*` for the files that it matches; a zip archive for its files.
///
/// A path that is no regular file (a named pipe, `/dev/stdin`, the shell's `<(…)`), and `-`, which
/// is the standard input, can be read once and from the front only, while a format is recognized by
/// the first bytes and Parquet is read from the end. So they are copied into a temporary file,
/// which goes with this value. Errors name what was given.
///
/// [`import`](crate::import()) and [`Format::detect`] open one by themselves; to call both for the
/// same pipe, or to read a cached log from it, open it once and call the methods here.
///
/// ```
/// use foretaste_import::{Input, Options};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("shop.csv");
/// # std::fs::write(&path, "session,step,shown,chosen,reward\na,0,12 7 9,7,1\n")?;
/// let input = Input::open(&path)?;
/// let dataset = if input.is_cache() { input.load()? } else { input.import(Options::default())?.0 };
/// assert_eq!(dataset.session_name(0), "a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Input {
    given: PathBuf,
    parts: Vec<Part>,
    copies: Vec<Copied>,
}

/// A temporary folder, and what was given of which it is a copy.
#[derive(Debug)]
struct Copied {
    folder: TempDir,
    given: PathBuf,
    /// The copy of a pipe; `None` for an archive, whose files lie in the folder.
    path: Option<PathBuf>,
}

impl Input {
    /// Opens a path; reads all of it if it is `-`, names neither a regular file nor a directory, or
    /// is an archive.
    ///
    /// # Errors
    /// [`Error::File`] if what comes through a pipe or stands in an archive cannot be read or
    /// copied, and for a folder or a pattern without a file. A path that names nothing is an error
    /// of its reader.
    pub fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            let given = PathBuf::from("<standard input>");
            return Self::copied(given, "stdin", &mut io::stdin().lock());
        }
        let standard = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]
            .iter()
            .any(|name| path == Path::new(name));
        match path.metadata() {
            Ok(about) if !about.is_file() && !about.is_dir() && standard => {
                Self::copied(path.to_owned(), "stdin", &mut io::stdin().lock())
            }
            Ok(about) if !about.is_file() && !about.is_dir() => {
                let mut pipe =
                    File::open(path).map_err(|source| foretaste_files::Error::io(path, source))?;
                let of_shell = path.starts_with("/dev/fd") || path.starts_with("/proc");
                let name = path.file_name().filter(|_| !of_shell).unwrap_or("pipe".as_ref());
                Self::copied(path.to_owned(), name, &mut pipe)
            }
            _ => Self { given: path.to_owned(), parts: parts::of_path(path)?, copies: Vec::new() }
                .unpacked(),
        }
    }

    /// Opens several paths as one log, whose files are read in this order.
    ///
    /// # Errors
    /// As [`Input::open`]; [`Error::Setting`] if there is none.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self> {
        let Some((first, others)) = paths.split_first() else {
            return Err(foretaste_settings::Setting::new("log", "no path").into());
        };
        let mut all = Self::open(first)?;
        for path in others {
            let Self { parts, copies, .. } = Self::open(path)?;
            all.parts.extend(parts);
            all.copies.extend(copies);
        }
        Ok(all)
    }

    /// Opens a log that lies in memory, as a file of this name.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be copied.
    pub(crate) fn of_bytes(name: &str, mut bytes: &[u8]) -> Result<Self> {
        Self::copied(PathBuf::from(name), name, &mut bytes)
    }

    /// Opens a log that is in memory as batches of Arrow's columns, like a Parquet file of this
    /// name.
    ///
    /// # Errors
    /// [`Error::File`] if a batch cannot be had, or holds a type that Parquet does not; or if there
    /// is no room for a copy.
    pub fn of_batches(name: &str, batches: impl RecordBatchReader) -> Result<Self> {
        let given = PathBuf::from(name);
        let wrong = |error: &dyn std::fmt::Display| {
            Error::file(&given, format!("cannot be read as columns of Arrow: {error}"))
        };
        let folder = tempfile::Builder::new().prefix("foretaste-").tempdir();
        let folder = folder.map_err(|error| wrong(&error))?;
        let path = folder.path().join(name);
        let mut file = File::create_new(&path).map_err(|error| wrong(&error))?;
        write_batches(batches, &mut file, Compression::UNCOMPRESSED)
            .map_err(|error| wrong(&error))?;
        let parts = vec![Part { path: path.clone(), partition: Vec::new() }];
        let copies = vec![Copied { folder, given: given.clone(), path: Some(path) }];
        Ok(Self { given, parts, copies })
    }

    fn copied(given: PathBuf, name: impl AsRef<Path>, pipe: &mut impl Read) -> Result<Self> {
        let copy = (|| {
            let folder = tempfile::Builder::new().prefix("foretaste-").tempdir()?;
            let path = folder.path().join(name);
            io::copy(pipe, &mut File::create_new(&path)?)?;
            Ok((folder, path))
        })();
        let folder = std::env::temp_dir();
        let problem = |error: io::Error| {
            format!(
                "cannot be copied into {}, which is needed because it is not a regular file: \
                 {error}",
                folder.display()
            )
        };
        let (folder, path) = copy.map_err(|error| Error::file(&given, problem(error)))?;
        let parts = vec![Part { path: path.clone(), partition: Vec::new() }];
        let copies = vec![Copied { folder, given: given.clone(), path: Some(path) }];
        Self { given, parts, copies }.unpacked()
    }

    /// With the files of archives in their place.
    fn unpacked(mut self) -> Result<Self> {
        let mut parts = Vec::new();
        for part in std::mem::take(&mut self.parts) {
            if !parts::is_archive(&part.path) {
                parts.push(part);
                continue;
            }
            let folder = parts::unpack(&part.path).map_err(|error| self.renamed(error))?;
            let given = match self.copies.iter().find(|copy| copy.path.as_ref() == Some(&part.path))
            {
                Some(copy) => copy.given.clone(),
                None => part.path,
            };
            let within = parts::of_path(folder.path());
            self.copies.push(Copied { folder, given, path: None });
            parts.extend(within.map_err(|error| self.renamed(error))?);
        }
        self.parts = parts;
        Ok(self)
    }

    /// The regular file to read, the first where there are several: the path that was given, or a
    /// copy.
    pub fn path(&self) -> &Path {
        &self.parts[0].path
    }

    /// The files to read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|part| &*part.path)
    }

    /// What was given, as errors name it.
    pub fn given(&self) -> &Path {
        &self.given
    }

    /// What the data set is called after: a file, or what stands for several.
    fn named(&self) -> &Path {
        let archive = self.copies.iter().find(|copy| copy.path.is_none());
        match (&self.parts[..], archive) {
            (_, Some(archive)) => &archive.given,
            ([part], None) => &part.path,
            _ => &self.given,
        }
    }

    /// Whether it is a cached log.
    pub fn is_cache(&self) -> bool {
        self.parts.len() == 1 && cache::is_cache(self.path())
    }

    /// The cached log, see [`cache::load`].
    ///
    /// # Errors
    /// As there.
    pub fn load(&self) -> Result<Dataset> {
        cache::load(self.path()).map_err(|error| self.renamed(error.into()))
    }

    /// See [`Format::detect`].
    ///
    /// # Errors
    /// As there.
    pub fn format(&self) -> Result<Format> {
        format_of(self.path(), &Layout::default()).map_err(|error| self.renamed(error))
    }

    /// See [`import`](crate::import()).
    ///
    /// # Errors
    /// As there; [`Error::File`] also for a format of several files, of which a pipe holds one.
    pub fn import(&self, options: Options<'_>) -> Result<(Dataset, Report)> {
        import_parts(&self.parts, self.named(), options).map_err(|error| self.renamed(error))
    }

    /// An error that names what was given, not its copy.
    fn renamed(&self, mut error: Error) -> Error {
        let Some(path) = error.path_mut() else { return error };
        for copy in self.copies.iter().rev() {
            let Ok(rest) = path.strip_prefix(copy.folder.path()) else { continue };
            match &copy.path {
                Some(whole) if path == whole => path.clone_from(&copy.given),
                None => *path = copy.given.join(rest),
                Some(_) => {
                    let further = rest.display();
                    let problem = format!(
                        "{further} is read from the folder of a log in this format, and a pipe has \
                         none; name the file instead"
                    );
                    return Error::file(&copy.given, problem);
                }
            }
            return error;
        }
        error
    }
}

impl Format {
    /// The format of a file, by its first bytes: Parquet's magic (and then the names of its
    /// columns), a JSON object, the header line, or the first row of a file without header:
    /// `u.data`, `yoochoose-clicks.dat`, Coat's ratings. Sees through gzip. Whatever comes through
    /// a pipe is gone afterwards: there, [`Input::format`].
    ///
    /// # Errors
    /// [`Error::File`] for a directory, an empty file or a header of no known format;
    /// [`Error::Files`] when the system refuses.
    pub fn detect(path: &Path) -> Result<Self> {
        Input::open(path)?.format()
    }
}
