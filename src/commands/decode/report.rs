//! What `decode` prints of each message: a JSON line for programs, or a line of text on a terminal. Must not read input.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

use kafka::text::Escaped;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::options::Source;
use crate::entity::{Bind, Event, Kind, LastModified, Location, Rejection, UtcTime, Value, decode, locate};
use crate::runtime::output::Stream;

/// Where a message is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) source: &'a Source,
    /// `None` if the source is one message.
    pub(super) line: Option<u64>,
}

/// The report on all messages.
#[derive(Debug)]
pub(super) struct Report {
    as_text: bool,
    out: Stream,
    /// How many events there are of each type.
    events: BTreeMap<&'static str, u64>,
    /// How many other messages there are of each reason.
    unidentified: BTreeMap<&'static str, u64>,
    is_closed: bool,
}

/// The JSON line of a message.
#[derive(Serialize)]
struct JsonLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(flatten)]
    verdict: Verdict<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
enum Verdict<'a> {
    Event {
        table: &'static str,
        event_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_modified: Option<&'a str>,
        /// The names of fields that have no column.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        extra: Vec<String>,
    },
    Unidentified {
        reason: &'static str,
        error: &'a str,
        #[serde(flatten)]
        location: Option<LocationLine>,
    },
}

#[derive(Serialize)]
struct LocationLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
}

/// As in [`TextPosition`](crate::entity::TextPosition).
#[derive(Clone, Copy, Serialize)]
struct Position {
    byte: usize,
    line: usize,
    column: usize,
}

impl Report {
    pub(super) fn new(as_text: bool) -> Self {
        let (events, unidentified) = (BTreeMap::new(), BTreeMap::new());
        Self { as_text, out: Stream::default(), events, unidentified, is_closed: false }
    }

    /// Decodes a message and prints what would become of it. Breaks if nobody reads that.
    pub(super) fn add(&mut self, place: &Place<'_>, message: &[u8]) -> ControlFlow<()> {
        let decoded = decode(Some(message));
        let counted = match &decoded {
            Ok(event) => self.events.entry(event.kind().table()),
            Err(rejection) => self.unidentified.entry(rejection.reason.as_str()),
        };
        *counted.or_default() += 1;
        let location = decoded.as_ref().err().and_then(|rejection| locate(message, rejection));
        let printed = if self.as_text {
            self.out.print(TextLine { place, decoded: &decoded, location })
        } else {
            self.out.print_json_line(&line(place, &decoded, location))
        };
        self.note(printed)
    }

    /// Writes what is complete.
    pub(super) fn flush(&mut self) -> ControlFlow<()> {
        let flushed = self.out.flush();
        self.note(flushed)
    }

    /// Prints the sums for people, and writes the rest.
    pub(super) fn end(&mut self) -> ControlFlow<()> {
        if self.as_text && self.messages() > 0 {
            let list = |counts: &BTreeMap<&'static str, u64>| {
                let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
                if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
            };
            let sums = format!("\nevents        {}\nunidentified  {}\n", list(&self.events), list(&self.unidentified));
            let printed = self.out.print(sums);
            self.note(printed)?;
        }
        self.flush()
    }

    pub(super) fn messages(&self) -> u64 {
        self.events.values().chain(self.unidentified.values()).sum()
    }

    pub(super) fn is_all_events(&self) -> bool {
        self.unidentified.is_empty()
    }

    /// Whether nobody reads the report.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn note(&mut self, printed: ControlFlow<()>) -> ControlFlow<()> {
        self.is_closed |= printed.is_break();
        printed
    }
}

fn line<'a>(place: &Place<'_>, decoded: &'a Result<Event<'_>, Rejection>, location: Option<Location>) -> JsonLine<'a> {
    let file = match place.source {
        Source::StandardInput => None,
        source @ Source::File(_) => Some(source.to_string()),
    };
    let verdict = match decoded {
        Ok(event) => Verdict::Event {
            table: event.kind().table(),
            event_id: event.event_id(),
            last_modified: event.last_modified().map(LastModified::effective).map(UtcTime::as_str),
            extra: extra(event),
        },
        Err(rejection) => Verdict::Unidentified {
            reason: rejection.reason.as_str(),
            error: &rejection.error,
            location: location.map(|Location { field, begin }| LocationLine {
                field,
                position: begin.map(|at| Position { byte: at.byte, line: at.line, column: at.column }),
            }),
        },
    };
    JsonLine { file, line: place.line, verdict }
}

/// The names of the fields that have no column, which may be misspelt.
fn extra(event: &Event<'_>) -> Vec<String> {
    let mut finder = ExtraFinder { kind: event.kind(), bound: 0, names: Vec::new() };
    let Ok(()) = event.bind(&mut finder);
    finder.names
}

/// Takes the names out of the column `extra`.
struct ExtraFinder {
    kind: Kind,
    bound: usize,
    names: Vec<String>,
}

impl Bind for ExtraFinder {
    type Error = std::convert::Infallible;

    fn bind(&mut self, value: Value<'_>) -> Result<(), Self::Error> {
        let column = self.kind.columns().get(self.bound).map(|column| column.name);
        self.bound += 1;
        if let (Some("extra"), Value::Json(Some(json)) | Value::Text(Some(json))) = (column, value) {
            // A name that is not text has no name here.
            let names = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(json).unwrap_or_default();
            self.names = names.into_keys().collect();
        }
        Ok(())
    }
}

/// The line of a message on a terminal.
struct TextLine<'a> {
    place: &'a Place<'a>,
    decoded: &'a Result<Event<'a>, Rejection>,
    location: Option<Location>,
}

impl fmt::Display for TextLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match (self.place.source, self.place.line) {
            (Source::StandardInput, Some(line)) => line.to_string(),
            (source, Some(line)) => format!("{source}:{line}"),
            (source, None) => source.to_string(),
        };
        write!(f, "{:>6}  ", Escaped(place).to_string())?;
        match self.decoded {
            Ok(event) => {
                write!(f, "{:<13}  {}", event.kind().table(), Escaped(event.event_id()))?;
                let extra = extra(event);
                if !extra.is_empty() {
                    write!(f, "  (no column: {})", Escaped(extra.join(", ")))?;
                }
                writeln!(f)
            }
            Err(rejection) => {
                write!(f, "unidentified   {}: {}", rejection.reason, Escaped(&rejection.error))?;
                if let Some(begin) = self.location.as_ref().and_then(|location| location.begin) {
                    write!(f, " (line {}, column {})", begin.line, begin.column)?;
                }
                writeln!(f)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_on_a_terminal_says_what_and_where_and_controls_nothing() {
        let check = |source: &Source, line: Option<u64>, message: &str, expected: &str| {
            let decoded = decode(Some(message.as_bytes()));
            let location = decoded.as_ref().err().and_then(|rejection| locate(message.as_bytes(), rejection));
            let shown = TextLine { place: &Place { source, line }, decoded: &decoded, location }.to_string();
            assert_eq!(shown, format!("{expected}\n"));
        };
        let (stdin, file) = (Source::StandardInput, Source::File("a\u{1b}.json".into()));
        let event = |more: &str| format!(r#"{{"event_id":"opp_\u001b","name":"n","stage":"s"{more}}}"#);
        check(&stdin, Some(7), &event(""), "     7  opportunities  opp_\\u{1b}");
        check(
            &file,
            Some(7),
            &event(r#","x\u001b":1"#),
            "a\\u{1b}.json:7  opportunities  opp_\\u{1b}  (no column: x\\u{1b})",
        );
        let bad = "unidentified   invalid_field: probability is 140, not an integer from 0 to 100 (line 2, column 15)";
        check(&file, None, &event(",\n\"probability\":140"), &format!("a\\u{{1b}}.json  {bad}"));
        check(&stdin, Some(12), "", "    12  unidentified   empty: a value of zero bytes");
    }
}
