//! The table of partitions: positions, lag, and the lag in the last hour. Must not know other sections.

use std::cmp::Reverse;
use std::time::Instant;

use super::html::Html;
use super::sparkline;
use super::values::{count_cell, number_cell, offset_cell, partition_cells};
use crate::observability::{LagHistory, PartitionSnapshot, Status};
use crate::runtime::readable::{Grouped, Rounded};

/// The most rows.
const ROWS_MAX: usize = 200;

/// Adds the section.
pub(super) fn add(html: &mut Html, status: &Status, history: &LagHistory, now: Instant) {
    html.markup("<section><h2>Partitions</h2>");
    if status.partitions.is_empty() {
        html.markup("<p>None are assigned.</p></section>");
        return;
    }
    html.markup("<p class=\"total\">Lag of all partitions in the last hour ");
    sparkline::add(html, &history.total(now), status.lag_records, "Lag of all partitions in the last hour");
    html.markup(
        "</p><div class=\"wide\" role=\"region\" aria-label=\"Partitions\" tabindex=\"0\"><table id=\"partitions\"><thead><tr>\
         <th scope=\"col\">Topic<th scope=\"col\">Partition<th scope=\"col\">Lag<th scope=\"col\">Age\
         <th scope=\"col\">Last hour<th scope=\"col\">Next<th scope=\"col\">Committed<th scope=\"col\">End\
         <th scope=\"col\">Reading</tr></thead><tbody>",
    );
    let shown = greatest_lag_first(&status.partitions);
    for snapshot in &shown {
        row(html, snapshot, history, now);
    }
    html.markup("</tbody></table></div>");
    if let Some(more @ 1..) = status.partitions.len().checked_sub(shown.len()) {
        let more = Grouped(u64::try_from(more).unwrap_or(u64::MAX));
        html.element("p", format_args!("{more} more partitions, with less lag, are not shown; /status.json has all."));
    }
    html.markup("</section>");
}

/// The partitions that are shown, those whose lag is not known before all others.
fn greatest_lag_first(partitions: &[PartitionSnapshot]) -> Vec<&PartitionSnapshot> {
    let mut shown: Vec<&PartitionSnapshot> = partitions.iter().collect();
    // A stable sort: those of the same lag stay in the order of topics and numbers.
    shown.sort_by_key(|snapshot| (snapshot.lag_records.is_some(), Reverse(snapshot.lag_records)));
    shown.truncate(ROWS_MAX);
    shown
}

fn row(html: &mut Html, snapshot: &PartitionSnapshot, history: &LagHistory, now: Instant) {
    html.markup("<tr>");
    partition_cells(html, &snapshot.partition);
    count_cell(html, snapshot.lag_records);
    number_cell(html, snapshot.lag.map(Rounded));
    html.markup("<td>");
    sparkline::add(html, &history.of(&snapshot.partition, now), snapshot.lag_records, "Lag in the last hour");
    html.markup("</td>");
    offset_cell(html, Some(snapshot.next_offset));
    offset_cell(html, snapshot.committed_offset);
    offset_cell(html, snapshot.log_end.map(|end| end.end_offset));
    if snapshot.is_reading {
        html.markup("<td>yes</td>");
    } else {
        html.markup("<td class=\"bad\">no</td>");
    }
    html.markup("</tr>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_lag_comes_first_and_rows_are_bounded() {
        let lags = [Some(3), Some(0), None, Some(7), Some(0), Some(7)];
        let partitions: Vec<_> =
            (0..).zip(lags).map(|(number, lag)| PartitionSnapshot::with_lag(number, lag)).collect();
        let order: Vec<i32> = greatest_lag_first(&partitions).iter().map(|shown| shown.partition.partition).collect();
        assert_eq!(order, [2, 3, 5, 0, 1, 4]);
        let many: Vec<_> =
            (0..1000).map(|number| PartitionSnapshot::with_lag(number, u64::try_from(number).ok())).collect();
        let shown = greatest_lag_first(&many);
        assert_eq!((shown.len(), shown[0].lag_records, shown[199].lag_records), (200, Some(999), Some(800)));
    }
}
