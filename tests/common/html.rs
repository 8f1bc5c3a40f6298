//! Reads a page as browsers do, to check it.

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::RcDom;

/// What is wrong with the HTML of a page, by the rules that browsers parse it by.
pub fn errors(page: &str) -> Vec<String> {
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page);
    let errors = dom.errors.borrow();
    errors.iter().map(ToString::to_string).collect()
}
