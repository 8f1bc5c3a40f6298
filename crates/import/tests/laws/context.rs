//! The context of steps: named columns of categories, whatever file they stand in.

use std::path::Path;

use foretaste_data::{Dataset, cache};
use foretaste_import::{Format, Layout, Options, Report, Result, export, import};

use crate::layouts::{columns, folder_of};

fn of(names: &[&str]) -> Layout {
    Layout { context: names.iter().map(|name| name.to_string()).collect(), ..Layout::default() }
}

fn read(path: &Path, layout: Layout) -> Result<(Dataset, Report)> {
    import(path, Options { layout, ..Options::default() })
}

/// The context of every step: `-` where nothing is known.
pub fn shown(dataset: &Dataset) -> Vec<String> {
    let sessions = dataset.log.iter();
    let steps = sessions.flat_map(|session| (0..session.len()).map(move |t| session.extras(t)));
    let step = |extras: foretaste_data::Extras<'_>| {
        let known = dataset.contexts.iter().zip(extras.context);
        let known = known.filter_map(|(column, value)| {
            Some(format!("{}={}", column.name, column.text(*value)?))
        });
        Some(known.collect::<Vec<_>>().join(" ")).filter(|text| !text.is_empty())
    };
    steps.map(|extras| step(extras).unwrap_or("-".into())).collect()
}

const SHOP: &str = "session,shown,chosen,query,device,page\n\
    a,k1 k2,k1,red shoes,phone,1\na,k1 k3,,hats,,2\nb,k2,k2,,,3\n";

#[test]
fn columns_are_kept_as_categories_where_they_are_named() {
    let folder = folder_of(&[("shop.csv", SHOP.as_bytes())]);
    let at = |name: &str| folder.path().join(name);
    let (dataset, report) = read(&at("shop.csv"), of(&["query", "device"])).unwrap();
    let expected = ["query=red shoes device=phone", "query=hats", "-"];
    assert_eq!(shown(&dataset), expected);
    assert_eq!(report.reading.ignored_columns, ["page"]);
    for row in [
        ("context", "query: 2 values, known of 2 of 3 steps".to_owned()),
        ("context", "device: 1 value, known of 1 of 3 steps".to_owned()),
    ] {
        assert!(report.summary.rows().contains(&row), "{report}");
    }
    cache::save(&dataset, &at("shop.log")).unwrap();
    assert_eq!(cache::load(&at("shop.log")).unwrap(), dataset);
    // An export names them so that they are known again, and another name is no context.
    for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
        export(&dataset, format, &at("back")).unwrap();
        for layout in [Layout::default(), of(&["query"])] {
            let (back, _) = read(&at("back"), layout).unwrap();
            assert_eq!(Dataset { name: "shop".into(), ..back }, dataset, "{format}");
        }
        let ignoring = Layout { ignore_columns: vec!["context_query".into()], ..Layout::default() };
        let (back, _) = read(&at("back"), ignoring).unwrap();
        assert_eq!(shown(&back), ["device=phone", "-", "-"], "{format}");
    }
    let error = export(&dataset, Format::IRecGan, &at("e")).unwrap_err().to_string();
    assert!(error.contains("context"), "{error}");
    let (plain, report) = read(&at("shop.csv"), Layout::default()).unwrap();
    assert!(plain.contexts.is_empty());
    assert_eq!(report.reading.ignored_columns, ["query", "device", "page"]);
}

#[test]
fn a_column_that_is_not_there_or_there_twice_is_an_error() {
    let twice = "session,shown,chosen,device,context_device\na,k1,k1,x,y\n";
    let folder = folder_of(&[("shop.csv", SHOP.as_bytes()), ("twice.csv", twice.as_bytes())]);
    for (name, context, problem) in [
        ("shop.csv", "browser", "has no column \"browser\", which was given as context"),
        ("twice.csv", "device", "has the context \"device\" twice"),
    ] {
        let error = read(&folder.path().join(name), of(&[context])).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    let events = Layout { format: Some(Format::Events), ..of(&["device"]) };
    let error = read(&folder.path().join("shop.csv"), events).unwrap_err().to_string();
    assert!(error.contains("context: events have none"), "{error}");
    let irecgan = "session_num;query_num;click_item;rec_list;purchase\n1;1;5;4,5;0\n";
    let folder = folder_of(&[("log.csv", irecgan.as_bytes())]);
    let error = read(&folder.path().join("log.csv"), of(&["query_num"])).unwrap_err();
    assert!(error.to_string().contains("has a fixed layout"), "{error}");
}

#[test]
fn values_of_json_are_texts_numbers_and_truth_values() {
    let lines = "{\"session\":\"a\",\"shown\":[1,2],\"chosen\":1,\"device\":\"pho\\u006ee\"}\n\
        {\"session\":\"a\",\"shown\":[1,2],\"chosen\":null,\"device\":7.0,\"context_new\":true}\n\
        {\"session\":\"b\",\"shown\":[1,2],\"chosen\":null,\"device\":null}\n";
    let wrong = "{\"session\":\"a\",\"shown\":[1,2],\"chosen\":1,\"device\":[\"x\"]}\n";
    let folder = folder_of(&[("a.jsonl", lines.as_bytes()), ("b.jsonl", wrong.as_bytes())]);
    let (dataset, _) = read(&folder.path().join("a.jsonl"), of(&["device"])).unwrap();
    assert_eq!(shown(&dataset), ["device=phone", "device=7 new=true", "-"]);
    let error = read(&folder.path().join("b.jsonl"), of(&["device"])).unwrap_err().to_string();
    assert!(error.contains("b.jsonl:1: context: expected a text, a number"), "{error}");
}

#[test]
fn files_of_one_log_may_have_other_columns_and_folders_say_what_they_lack() {
    let folder = folder_of(&[
        ("log/device=phone/0.csv", b"session,shown,chosen,context_query\na,k1,k1,hats\n"),
        ("log/device=tv/0.csv", b"context_page,session,shown,chosen\n2,b,k1,k1\n"),
        (
            "lines/device=phone/0.jsonl",
            b"{\"session\":\"a\",\"shown\":[1],\"chosen\":1,\"context_query\":\"hats\"}\n",
        ),
        (
            "lines/device=tv/0.jsonl",
            b"{\"context_page\":2,\"session\":\"b\",\"shown\":[1],\"chosen\":1}\n",
        ),
    ]);
    let sorted = Layout { sort: true, ..of(&["device"]) };
    for (log, layout) in [("log", of(&["device"])), ("log", sorted), ("lines", of(&["device"]))] {
        let (dataset, report) = read(&folder.path().join(log), layout).unwrap();
        let mut known = shown(&dataset);
        known.iter_mut().for_each(|text| {
            let mut parts: Vec<&str> = text.split(' ').collect();
            parts.sort_unstable();
            *text = parts.join(" ");
        });
        assert_eq!(known, ["device=phone query=hats", "device=tv page=2"], "{log}");
        assert_eq!(report.reading.ignored_columns, [""; 0]);
    }
}

#[test]
fn a_slate_of_rows_has_the_context_of_its_first_and_a_column_may_be_both() {
    let csv = "session,query,video,is_click,device\n\
        a,q1,v1,0,phone\na,q2,v3,1,tv\na,q1,v2,1,\n";
    let folder = folder_of(&[("log.csv", csv.as_bytes())]);
    let names = [("slate", "query"), ("item", "video"), ("clicked", "is_click")];
    for sort in [false, true] {
        let layout = Layout { columns: columns(&names), sort, ..of(&["query", "device"]) };
        let (dataset, _) = read(&folder.path().join("log.csv"), layout).unwrap();
        // The third row comes back to a slate that was closed: it is one of its own.
        let expected = ["query=q1 device=phone", "query=q2 device=tv", "query=q1"];
        assert_eq!(shown(&dataset), expected);
    }
}

#[test]
fn categories_of_rows_that_are_not_kept_are_not_in_the_vocabulary() {
    let csv = "session,shown,chosen,context_device\n\
        a,k1 k1,k1,bad\nb,k1,k1,long\nb,k2,k2,long\nb,k3,k3,longer\nc,k1,k1,phone\n\
        d,k1,k1,phone\nd,k2,k2,tv\n";
    let folder = folder_of(&[("log.csv", csv.as_bytes())]);
    let layout = Layout { max_session_steps: Some(2), ..Layout::default() };
    let options = Options { layout, skip_bad_rows: true, max_bad: 0.5, ..Options::default() };
    let (dataset, _) = import(&folder.path().join("log.csv"), options).unwrap();
    assert_eq!(dataset.contexts[0].values.iter().collect::<Vec<_>>(), ["phone", "tv"]);
    assert_eq!(shown(&dataset), ["device=phone", "device=phone", "device=tv"]);
}
