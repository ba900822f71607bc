//! Values that several sections of the page have: counts, times, coordinates. Must not know which sections there are.

use std::fmt::Display;
use std::time::SystemTime;

use kafka::TopicPartition;

use super::html::Html;
use crate::runtime::logger;
use crate::runtime::readable::{Grouped, Rounded};

/// What is shown for a value that is not known.
pub(super) const UNKNOWN: &str = "–";

/// Adds a cell of a table with a number.
pub(super) fn number_cell(html: &mut Html, number: Option<impl Display>) {
    html.markup("<td class=\"n\">");
    value(html, number);
    html.markup("</td>");
}

/// Adds a value, or that it is not known.
pub(super) fn value(html: &mut Html, value: Option<impl Display>) {
    match value {
        Some(value) => html.text(value),
        None => html.text(UNKNOWN),
    };
}

/// An offset, without groups of digits: people copy it.
pub(super) fn offset_cell(html: &mut Html, offset: Option<i64>) {
    number_cell(html, offset);
}

/// Adds a cell with a count.
pub(super) fn count_cell(html: &mut Html, count: Option<u64>) {
    number_cell(html, count.map(Grouped));
}

/// Adds the cells of a topic and a partition.
pub(super) fn partition_cells(html: &mut Html, partition: &TopicPartition) {
    html.element("td class=\"topic\"", &partition.topic).element("td class=\"n\"", partition.partition);
}

/// Adds a time and how long ago it was, or how far away it is.
pub(super) fn time(html: &mut Html, at: Option<SystemTime>, now: SystemTime) {
    let Some(at) = at else {
        html.text(UNKNOWN);
        return;
    };
    html.markup("<time>").text(logger::timestamp(at)).markup("</time> ");
    match now.duration_since(at) {
        Ok(ago) => html.text(format_args!("({} ago)", Rounded(ago))),
        Err(ahead) => html.text(format_args!("(in {})", Rounded(ahead.duration()))),
    };
}

/// Adds a term and begins its description, in a list of descriptions.
pub(super) fn term(html: &mut Html, term: &'static str) {
    html.element("dt", term);
}
