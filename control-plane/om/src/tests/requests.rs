//! The table of requests.

use std::collections::BTreeSet;

use allotrope_proto::om::Type;

use crate::requests::table::{self, ROWS};

/// Where the tests are that the table names.
const SOURCES: [&str; 13] = [
    include_str!("volumes.rs"),
    include_str!("uploads.rs"),
    include_str!("acl.rs"),
    include_str!("attributes.rs"),
    include_str!("buckets.rs"),
    include_str!("keys.rs"),
    include_str!("files.rs"),
    include_str!("listing.rs"),
    include_str!("ha.rs"),
    include_str!("leases.rs"),
    include_str!("requests.rs"),
    include_str!("s3.rs"),
    include_str!("../../tests/server.rs"),
];

#[test]
fn every_row_names_a_test_that_is_there() {
    for row in ROWS {
        let name = format!("fn {}()", row.test);
        assert!(
            SOURCES.iter().any(|source| source.contains(&name)),
            "{:?} has no test {}",
            row.request,
            row.test
        );
    }
    let numbers = (0..1000).filter(|number| Type::try_from(*number).is_ok()).count();
    assert_eq!(ROWS.len(), numbers, "each number of Ozone's enum has a row");
    let distinct: BTreeSet<i32> = ROWS.iter().map(|row| row.request as i32).collect();
    assert_eq!(distinct.len(), ROWS.len());
}

#[test]
fn each_request_has_one_row() {
    for row in ROWS {
        assert_eq!(table::find(row.request).map(|found| found.request), Some(row.request));
    }
}

/// docs/requests.md, as the table has it.
fn page() -> String {
    use crate::requests::Answer;
    let mut page = String::from(
        "# Requests to OM\n\nEvery request of Ozone's client protocol, what answers it here, and the test that shows the \
         answer.\nWritten from `control-plane/om/src/requests/table.rs` by the test `the_page_of_requests_is_the_table`.\n\n\
         | # | request | answer | test |\n| --- | --- | --- | --- |\n",
    );
    for row in ROWS {
        let answer = match row.answer {
            Answer::Read(_) => "read".to_owned(),
            Answer::Write(..) => "write".to_owned(),
            Answer::Server | Answer::ServerLogged(_) => "this server's own".to_owned(),
            Answer::Internal(_) => {
                "asked by the manager itself; users get NOT_SUPPORTED_OPERATION".to_owned()
            }
            Answer::NotSupported(why) => format!("NOT_SUPPORTED_OPERATION: {why}"),
        };
        page += &format!(
            "| {} | {} | {answer} | {} |\n",
            row.request as i32,
            row.request.as_str_name(),
            row.test
        );
    }
    page
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test that keeps a page of the docs true")]
fn the_page_of_requests_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/requests.md");
    if std::env::var_os("ALLOTROPE_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page(), "docs/requests.md is stale: run this test with ALLOTROPE_WRITE_DOCS=1");
}
