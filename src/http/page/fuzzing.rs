//! Texts from anybody in every place of the page that shows one: topics, payloads, errors, log lines. None of them changes the
//! structure of the page, and the browser shows exactly the text, with its unprintable characters escaped.

use std::sync::LazyLock;
use std::time::Instant;

use fuzzkit::Target;
use kafka::TopicPartition;
use kafka::text::{Escaped, excerpt};

use super::render;
use crate::observability::{Description, Jump, MessageTexts, Metrics, Status, UnidentifiedMessage};
use crate::runtime::logger::Problem;
use crate::settings::Settings;

pub(crate) const TARGET: Target = Target { name: "status_page", run: status_page, words: WORDS, tries: 300 };

const WORDS: &[&str] = &[
    "<script>",
    "</script>",
    "</td>",
    "</pre>",
    "<!--",
    "-->",
    "<![CDATA[",
    "<img src=x onerror=alert(1)>",
    "&lt;",
    "&#x3c;",
    "&",
    "\"",
    "'",
    "`",
    "\u{202e}",
    "\0",
    "\r\n",
];

/// Shorter than what is shortened on the page.
const CHARS_MAX: usize = 100;

const TOPIC: &str = "the topic";
const ERROR: &str = "the error";
const PAYLOAD: &str = "the payload";
const PROBLEM: &str = "the problem";

fn status_page(input: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(input).chars().take(CHARS_MAX).collect();
    let (tags, texts) = parse(&document([text.as_str(); 4]));
    let (expected_tags, harmless) = parse(&document([TOPIC, ERROR, PAYLOAD, PROBLEM]));
    assert_eq!(tags, expected_tags, "{text:?}");
    let mut places = 0;
    for (shown, harmless) in texts.iter().zip(&harmless) {
        let expected = match harmless.as_str() {
            TOPIC | PROBLEM => Escaped(&text).to_string(),
            ERROR | PAYLOAD => excerpt(&text, 500),
            _ => continue,
        };
        places += 1;
        assert_eq!(*shown, expected);
    }
    assert_eq!(places, 6, "three topics and the others");
    true
}

static DESCRIPTION: LazyLock<Description> = LazyLock::new(|| {
    let Ok(settings) = Settings::load(Vec::new(), None) else { unreachable!("the defaults are valid") };
    Description::of(&settings)
});

/// The page with these texts.
fn document([topic, error, payload, problem]: [&str; 4]) -> String {
    let metrics = Metrics::new(DESCRIPTION.clone());
    let partition = TopicPartition::new(topic, 3);
    metrics.partitions.start(&partition, 5);
    metrics.unidentified.add("not_json", 1);
    let texts = MessageTexts::new(error, Some(payload.as_bytes()));
    metrics
        .latest_unidentified
        .note("not_json", UnidentifiedMessage { partition: partition.clone(), offset: 7, texts });
    metrics.position_changes.add("group_reset", 1);
    metrics.latest_position_changes.note("group_reset", Jump { partition, from: None, to: 5 });
    let (at, level) = ("2026-01-31T12:00:00.000Z".to_owned(), "WARN".to_owned());
    metrics.note_problem(Problem { at, level, message: problem.to_owned() });
    let now = Instant::now();
    render(&Status::of(&metrics, false, true, now), &metrics.lag_history, now)
}

/// The tags of the body without the values of their attributes, and the texts between them, as a browser reads them.
fn parse(document: &str) -> (Vec<String>, Vec<String>) {
    let body = document.split_once("<body>").and_then(|(_, body)| body.rsplit_once("<script>"));
    let mut rest = body.map(|(body, _)| body).unwrap_or_default();
    let (mut tags, mut texts) = (Vec::new(), Vec::new());
    while let Some((text, behind)) = rest.split_once('<') {
        texts.push(decode(text));
        let (mut tag, mut is_quoted, mut end) = (String::new(), false, behind.len());
        for (at, char) in behind.char_indices() {
            is_quoted ^= char == '"';
            if char == '>' && !is_quoted {
                end = at;
                break;
            }
            if !is_quoted {
                tag.push(char);
            }
        }
        tags.push(tag);
        rest = behind.get(end + 1..).unwrap_or_default();
    }
    texts.push(decode(rest));
    (tags, texts)
}

fn decode(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.into_iter().fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char))
}
