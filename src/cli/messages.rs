//! The command lines of `unidentified` and `prune`, after their names. Must not read the clock.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::Parser;
use lexopt::prelude::{Long, Short, Value};

use super::error::UsageError;
use crate::commands::prune::PruneOptions;
use crate::commands::unidentified::{
    ExportFormat, FilterOptions, LIST_MESSAGES_DEFAULT, ProduceOptions, ShowForm, ShowOptions, UnidentifiedCommand,
};
use crate::commands::when::When;
use crate::entity::Reason;
use crate::settings::shorten;

/// The values of `--reason`.
const REASONS: &str = "empty, not_json, unknown_type, invalid_field, rejected";
const NUMBER: &str = "a whole number from 0";

/// The options of `unidentified` that are not a filter.
#[derive(Default)]
struct Given {
    /// The words that are no options.
    words: Vec<OsString>,
    limit: Option<u64>,
    /// The options without a value.
    flags: Vec<&'static str>,
}

/// Parses the rest of `unidentified`; `None` for the help.
pub(super) fn parse_unidentified(
    parser: &mut Parser,
    env_file: &mut Option<PathBuf>,
) -> Result<Option<UnidentifiedCommand>, UsageError> {
    let (mut filter, mut given) = (FilterOptions::default(), Given::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("env-file") => *env_file = Some(PathBuf::from(parser.value()?)),
            Long("limit") => given.limit = Some(value("--limit", &parser.value()?, NUMBER, digits)?),
            Long("json") => given.flags.push(JSON),
            Long("raw") => given.flags.push(RAW),
            Long("produce") => given.flags.push(PRODUCE),
            Long("without-keys") => given.flags.push(WITHOUT_KEYS),
            Long("without-headers") => given.flags.push(WITHOUT_HEADERS),
            Value(word) => given.words.push(word),
            Long(name) => {
                let name = name.to_owned();
                parse_filter(&name, parser, &mut filter)?;
            }
            other @ Short(_) => return Err(other.unexpected().into()),
        }
    }
    given.into_command(filter).map(Some)
}

const JSON: &str = "--json";
const RAW: &str = "--raw";
const PRODUCE: &str = "--produce";
const WITHOUT_KEYS: &str = "--without-keys";
const WITHOUT_HEADERS: &str = "--without-headers";

impl Given {
    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    fn into_command(self, filter: FilterOptions) -> Result<UnidentifiedCommand, UsageError> {
        let (name, arguments) = match self.words.split_first() {
            None => ("list", &[][..]),
            Some((name, arguments)) => (name.to_str().unwrap_or_default(), arguments),
        };
        let is_export = name == "export";
        if !is_export && (self.has(PRODUCE) || self.has(WITHOUT_KEYS) || self.has(WITHOUT_HEADERS)) {
            return Err(UsageError::Incomplete(
                "--produce, --without-keys and --without-headers belong to 'unidentified export'",
            ));
        }
        if self.has(RAW) && name != "show" {
            return Err(UsageError::Incomplete("--raw belongs to 'unidentified show'"));
        }
        match (name, arguments) {
            ("list", []) => {
                let messages_max = limit(self.limit.unwrap_or(LIST_MESSAGES_DEFAULT));
                Ok(UnidentifiedCommand::List { filter, messages_max, json: self.has(JSON) })
            }
            ("export", []) => {
                let format = self.export_format()?;
                Ok(UnidentifiedCommand::Export { filter, messages_max: limit(self.limit.unwrap_or(0)), format })
            }
            ("show", [topic, partition, offset]) => self.show(&filter, [topic, partition, offset]),
            ("show", _) => Err(UsageError::Incomplete("unidentified show takes TOPIC PARTITION OFFSET")),
            _ => Err(UsageError::Incomplete("unidentified takes list, show TOPIC PARTITION OFFSET, or export")),
        }
    }

    fn export_format(&self) -> Result<ExportFormat, UsageError> {
        let (without_keys, without_headers) = (self.has(WITHOUT_KEYS), self.has(WITHOUT_HEADERS));
        match (self.has(PRODUCE), self.has(JSON)) {
            (true, true) => Err(UsageError::Incomplete("--produce and --json are two formats: give one of them")),
            (true, false) => Ok(ExportFormat::Produce(ProduceOptions { without_keys, without_headers })),
            (false, _) if without_keys || without_headers => {
                Err(UsageError::Incomplete("--without-keys and --without-headers need --produce"))
            }
            (false, _) => Ok(ExportFormat::JsonLines),
        }
    }

    fn show(
        &self,
        filter: &FilterOptions,
        [topic, partition, offset]: [&OsStr; 3],
    ) -> Result<UnidentifiedCommand, UsageError> {
        if *filter != FilterOptions::default() || self.limit.is_some() {
            return Err(UsageError::Incomplete("unidentified show takes no filter and no --limit"));
        }
        let form = match (self.has(JSON), self.has(RAW)) {
            (true, true) => return Err(UsageError::Incomplete("--json and --raw are two formats: give one of them")),
            (true, false) => ShowForm::Json,
            (false, true) => ShowForm::Raw,
            (false, false) => ShowForm::Text,
        };
        Ok(UnidentifiedCommand::Show(ShowOptions {
            topic: value("TOPIC", topic, "the name of a topic", text)?,
            partition: value("PARTITION", partition, NUMBER, digits)?,
            offset: value("OFFSET", offset, NUMBER, digits)?,
            form,
        }))
    }
}

/// Parses the rest of `prune`; `None` for the help.
pub(super) fn parse_prune(
    parser: &mut Parser,
    env_file: &mut Option<PathBuf>,
) -> Result<Option<PruneOptions>, UsageError> {
    let (mut filter, mut all, mut dry_run) = (FilterOptions::default(), false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("env-file") => *env_file = Some(PathBuf::from(parser.value()?)),
            Long("all") => all = true,
            Long("dry-run") => dry_run = true,
            Long(name) => {
                let name = name.to_owned();
                parse_filter(&name, parser, &mut filter)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match (all, filter == FilterOptions::default()) {
        (false, true) => Err(UsageError::Incomplete(
            "prune takes at least one of --replayed, --before TIME, --reason R, --topic TOPIC and the other filters, or --all",
        )),
        (true, false) => Err(UsageError::Incomplete("prune takes --all or filters, not both")),
        (true, true) | (false, false) => Ok(Some(PruneOptions { filter, dry_run })),
    }
}

/// Parses an option of a filter.
fn parse_filter(name: &str, parser: &mut Parser, filter: &mut FilterOptions) -> Result<(), UsageError> {
    match name {
        "topic" => filter.topic = Some(value("--topic", &parser.value()?, "the name of a topic", text)?),
        "partition" => filter.partition = Some(value("--partition", &parser.value()?, NUMBER, digits)?),
        "reason" => filter.reason = Some(value("--reason", &parser.value()?, REASONS, reason)?),
        "since" => filter.since = Some(value("--since", &parser.value()?, When::ALLOWED, When::parse)?),
        "before" => filter.before = Some(value("--before", &parser.value()?, When::ALLOWED, When::parse)?),
        "replayed" | "unreplayed" => {
            let replayed = Some(name == "replayed");
            if filter.replayed.is_some() && filter.replayed != replayed {
                return Err(UsageError::Incomplete("--replayed and --unreplayed exclude each other"));
            }
            filter.replayed = replayed;
        }
        name => return Err(lexopt::Error::UnexpectedOption(format!("--{name}")).into()),
    }
    Ok(())
}

fn value<T>(
    option: &'static str,
    value: &OsStr,
    allowed: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, UsageError> {
    let value_error = || UsageError::Value { option, value: shorten(&value.to_string_lossy()), allowed };
    value.to_str().and_then(parse).ok_or_else(value_error)
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Parses a number without a sign.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn reason(text: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.as_str() == text)
}

/// A limit, where 0 is none.
fn limit(messages: u64) -> u64 {
    if messages == 0 { u64::MAX } else { messages }
}
