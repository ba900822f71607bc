//! The sections about records: throughput, unidentified messages, offset jumps. Must not know other sections.

use std::time::{Duration, SystemTime};

use kafka::text::excerpt;

use super::html::Html;
use super::values::{count_cell, number_cell, offset_cell, partition_cells, time};
use crate::observability::{Excerpt, Jump, MessageTexts, Occurrences, Status, UnidentifiedMessage, Window};
use crate::runtime::readable::{Grouped, Rounded};
use crate::storage::Outcome;

/// The longest beginning of a value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 500;

/// Adds what became of records.
pub(super) fn add_throughput(html: &mut Html, status: &Status) {
    let Status { rates, .. } = status;
    html.markup(
        "<section><h2>Throughput</h2><table id=\"throughput\"><thead><tr><th scope=\"col\">Outcome<th scope=\"col\">",
    );
    match &rates.window {
        Some(window) => html.text(format_args!("Per second, in the last {}", Rounded(window.elapsed))),
        None => html.text("Per second"),
    };
    html.markup("<th scope=\"col\">Since the start</tr></thead><tbody>");
    for outcome in Outcome::ALL {
        html.markup("<tr>").element("th scope=\"row\"", outcome.name());
        let per_second = rates.window.map(|Window { counts, elapsed }| per_second(counts.get(outcome), elapsed));
        number_cell(html, per_second);
        count_cell(html, Some(rates.totals.get(outcome)));
        html.markup("</tr>");
    }
    html.markup("</tbody></table></section>");
}

/// A rate with one decimal where it is small.
fn per_second(count: u64, elapsed: Duration) -> String {
    let tenths = u128::from(count) * 10_000 / elapsed.as_millis().max(1);
    match u64::try_from(tenths).unwrap_or(u64::MAX) {
        0 if count > 0 => "< 0.1".to_owned(),
        tenths @ 1..1000 => format!("{}.{}", tenths / 10, tenths % 10),
        tenths => Grouped(tenths / 10).to_string(),
    }
}

/// Adds the unidentified messages of each reason.
pub(super) fn add_unidentified(html: &mut Html, status: &Status) {
    html.markup("<section><h2>Unidentified messages</h2>");
    if !has_any(html, &status.unidentified) {
        return;
    }
    html.markup(
        "<div class=\"wide\" role=\"region\" aria-label=\"Unidentified messages\" tabindex=\"0\"><table id=\"unidentified\">\
         <thead><tr><th scope=\"col\">Reason<th scope=\"col\">Since the start<th scope=\"col\">Latest: topic\
         <th scope=\"col\">Partition<th scope=\"col\">Offset<th scope=\"col\">Stored</tr></thead><tbody>",
    );
    for occurrences in &status.unidentified {
        begin_row(html, occurrences);
        end_row(
            html,
            occurrences,
            status.at,
            "<td colspan=\"4\">",
            |html, UnidentifiedMessage { partition, offset, .. }| {
                partition_cells(html, partition);
                offset_cell(html, Some(*offset));
            },
        );
        if let Some(latest) = occurrences.latest.as_ref().filter(|_| status.shows_texts) {
            add_texts(html, &latest.what.texts);
        }
    }
    html.markup("</tbody></table></div></section>");
}

fn add_texts(html: &mut Html, MessageTexts { error, value }: &MessageTexts) {
    html.markup("<tr class=\"texts\"><td colspan=\"6\">").element("p", error);
    if let Some(Excerpt { beginning, bytes }) = value {
        html.element("pre class=\"payload\"", excerpt(beginning, VALUE_CHARS_MAX));
        if *bytes > beginning.len() {
            let bytes = Grouped(u64::try_from(*bytes).unwrap_or(u64::MAX));
            html.element("p", format_args!("The beginning of {bytes} bytes."));
        }
    }
    html.markup("</td></tr>");
}

/// Adds the offset jumps of each reason.
pub(super) fn add_jumps(html: &mut Html, status: &Status) {
    html.markup("<section><h2>Offset jumps</h2>");
    if !has_any(html, &status.position_changes) {
        return;
    }
    html.markup(
        "<div class=\"wide\" role=\"region\" aria-label=\"Offset jumps\" tabindex=\"0\"><table id=\"jumps\"><thead><tr>\
         <th scope=\"col\">Reason<th scope=\"col\">Since the start<th scope=\"col\">Latest: topic<th scope=\"col\">Partition\
         <th scope=\"col\">From<th scope=\"col\">To<th scope=\"col\">Stored</tr></thead><tbody>",
    );
    for occurrences in &status.position_changes {
        begin_row(html, occurrences);
        end_row(html, occurrences, status.at, "<td colspan=\"5\">", |html, Jump { partition, from, to }| {
            partition_cells(html, partition);
            offset_cell(html, *from);
            offset_cell(html, Some(*to));
        });
    }
    html.markup("</tbody></table></div></section>");
}

/// Ends the section if there is none.
fn has_any<T>(html: &mut Html, occurrences: &[Occurrences<T>]) -> bool {
    let has_any = occurrences.iter().any(|occurrences| occurrences.count > 0);
    if !has_any {
        html.markup("<p>None since the start.</p></section>");
    }
    has_any
}

fn begin_row<T>(html: &mut Html, Occurrences { reason, count, .. }: &Occurrences<T>) {
    html.markup("<tr>").element("th scope=\"row\"", reason);
    count_cell(html, Some(*count));
}

/// Adds the latest, its cells and its time, or an empty cell.
fn end_row<T>(
    html: &mut Html,
    occurrences: &Occurrences<T>,
    now: SystemTime,
    empty: &'static str,
    cells: impl FnOnce(&mut Html, &T),
) {
    if let Some(latest) = &occurrences.latest {
        cells(html, &latest.what);
        html.markup("<td>");
        time(html, Some(latest.at), now);
    } else {
        html.markup(empty);
    }
    html.markup("</td></tr>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_rates_have_a_decimal() {
        let text = |count, seconds| per_second(count, Duration::from_secs(seconds));
        assert_eq!([text(0, 60), text(1, 60), text(6, 60), text(90, 60)], ["0", "< 0.1", "0.1", "1.5"]);
        assert_eq!([text(5999, 60), text(6000, 60), text(7_200_000, 60)], ["99.9", "100", "120,000"]);
    }
}
