//! Features of items and users, from files of their own.

use foretaste_data::{Part, cache};
use foretaste_import::{Format, Options, Whose, export, export_features, import};

use crate::layouts::folder_of;

#[test]
fn items_have_features_from_a_file() {
    let csv = "session,shown,chosen\na,k1 k2 7,k2\n";
    let features = |text: &str| {
        let folder = folder_of(&[("shop.csv", csv.as_bytes()), ("items.csv", text.as_bytes())]);
        let item_features = Some(folder.path().join("items.csv"));
        import(&folder.path().join("shop.csv"), Options { item_features, ..Options::default() })
    };
    let text = "price,item_id,colour,new\n2.5,k2,red,True\n-1,7.0,,False\n0,k9,blue,True\n";
    let (dataset, report) = features(text).unwrap();
    // Price, blue, red, new; of k1, k2, 7.
    let expected = [0.0, 0.0, 0.0, 0.0, 2.5, 0.0, 1.0, 1.0, -1.0, 0.0, 0.0, 0.0];
    assert_eq!(dataset.catalogue.features(), Some((&expected[..], 4)));
    assert!(report.to_string().contains("1 of 3 items have no row in"), "{report}");
    let many: String = (0..70).map(|row| format!("k{row},text {row}\n")).collect();
    for (text, part) in [
        ("item\nk1\n".to_owned(), "no column in addition to"),
        ("item,a\nk1,1\nk1,2\n".to_owned(), "two rows of item \"k1\""),
        (format!("item,title\n{many}"), "column \"title\" has 70 different texts"),
        ("item,a\nk1\n".to_owned(), "items.csv:2: row"),
    ] {
        let error = features(&text).unwrap_err().to_string();
        assert!(error.contains("items.csv") && error.contains(part), "{error}");
    }
}

#[test]
fn users_have_features_from_a_file_and_both_kinds_survive_a_cache_and_an_export() {
    let shop = "session,shown,chosen,user\na,k1 7,k1,ann\nb,7,7,3\nc,k1,k1,\n";
    let items = "item,price\nk1,0.1\n7,-3\n";
    let users = "user_id,country,age\n3.0,de,41\nann,,30.5\neve,fr,2\n";
    let folder = folder_of(&[
        ("shop.csv", shop.as_bytes()),
        ("items.csv", items.as_bytes()),
        ("users.csv", users.as_bytes()),
    ]);
    let at = |name: &str| folder.path().join(name);
    let read = |log: &str, items: &str, users: &str| {
        let (item_features, user_features) = (Some(at(items)), Some(at(users)));
        let name = Some("shop".into());
        import(&at(log), Options { name, item_features, user_features, ..Options::default() })
            .unwrap()
    };
    let (dataset, report) = read("shop.csv", "items.csv", "users.csv");
    assert!(
        report
            .to_string()
            .contains("features of every user, 3 in all: country (2 categories), age"),
        "{report}"
    );
    let features = dataset.user_features.as_ref().unwrap();
    let expected: Vec<(&str, &[f32])> = vec![("ann", &[0.0, 0.0, 30.5]), ("3", &[1.0, 0.0, 41.0])];
    assert_eq!(dataset.users.iter().zip(features.rows()).collect::<Vec<_>>(), expected);
    let rows = report.summary.rows();
    for row in [("item features", "1".to_owned()), ("user features", "3".to_owned())] {
        assert!(rows.contains(&row), "{rows:?}");
    }
    cache::save(&dataset, &at("shop.log")).unwrap();
    assert_eq!(cache::load(&at("shop.log")).unwrap(), dataset);
    let error = export(&dataset, Format::Csv, &at("e.csv")).unwrap_err().to_string();
    for part in ["--without features,user-features", "--item-features-to", "--user-features-to"] {
        assert!(error.contains(part), "{error}");
    }
    export_features(&dataset, Whose::Items, &at("i.csv")).unwrap();
    export_features(&dataset, Whose::Users, &at("u.csv")).unwrap();
    let bare = dataset.clone().without(Part::Features).without(Part::UserFeatures);
    export(&bare, Format::Csv, &at("e.csv")).unwrap();
    assert_eq!(read("e.csv", "i.csv", "u.csv").0, dataset);
    assert!(export_features(&bare, Whose::Users, &at("none.csv")).is_err());
    let anonymous = "session,shown,chosen\na,k1 7,k1\n";
    std::fs::write(at("anonymous.csv"), anonymous).unwrap();
    let user_features = Some(at("users.csv"));
    let error =
        import(&at("anonymous.csv"), Options { user_features, ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("--column user=NAME"), "{error}");
}
