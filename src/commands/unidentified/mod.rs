//! The `unidentified` command: lists unidentified messages, shows one, and exports them. Reads one snapshot, also while the service
//! runs, and changes nothing. Must not know SQL.

mod error;
mod excerpt;
mod message;
mod options;
mod produce;
mod show;

use std::ops::ControlFlow;

use time::UtcDateTime;

pub use error::UnidentifiedError;
pub use message::ERROR_CHARS_MAX;
use message::{ListLine, MessageLine, TextLine};
pub use options::{
    ExportFormat, FilterOptions, LIST_MESSAGES_DEFAULT, ProduceOptions, ShowForm, ShowOptions, UnidentifiedCommand,
};
use produce::Producer;

use crate::commands::error::CommandError;
use crate::runtime::output::{self, Stream};
use crate::settings::Settings;
use crate::storage::{self, Inspector, MessageFilter};

/// Lists, shows or exports. Returns false if a message could not be exported.
pub fn unidentified(settings: &Settings, command: &UnidentifiedCommand) -> Result<bool, CommandError> {
    let mut database = storage::inspect(&settings.database)?;
    let now = UtcDateTime::now();
    match command {
        UnidentifiedCommand::List { filter, messages_max, json } => {
            list(&mut *database, &filter.resolve(now), *messages_max, *json).map(|()| true)
        }
        UnidentifiedCommand::Show(options) => show::show(&mut *database, options).map(|()| true),
        UnidentifiedCommand::Export { filter, messages_max, format } => {
            let filter = filter.resolve(now);
            match format {
                ExportFormat::JsonLines => export(&mut *database, &filter, *messages_max).map(|()| true),
                ExportFormat::Produce(options) => produce(&mut *database, &filter, *messages_max, *options),
            }
        }
    }
}

fn list(
    database: &mut dyn Inspector,
    filter: &MessageFilter,
    messages_max: u64,
    json: bool,
) -> Result<(), CommandError> {
    let (mut out, mut listed) = (Stream::default(), 0_u64);
    database.list_messages(filter, messages_max, &mut |message| {
        if listed == 0 && !json {
            out.print(TextLine::TITLES)?;
        }
        listed += 1;
        if json { out.print_json_line(&ListLine::from(&message)) } else { out.print(TextLine(&message)) }
    })?;
    if listed == 0 && !json {
        let _ = out.print("no unidentified message matches\n");
    }
    let _ = out.flush();
    if listed == messages_max && !json {
        output::print_note(format_args!("the newest {messages_max} are listed; --limit lists more"));
    }
    Ok(())
}

fn export(database: &mut dyn Inspector, filter: &MessageFilter, messages_max: u64) -> Result<(), CommandError> {
    let mut out = Stream::default();
    database.read_messages(filter, messages_max, &mut |message| out.print_json_line(&MessageLine(&message)))?;
    let _ = out.flush();
    Ok(())
}

/// Writes lines to produce again. Returns whether there is one for each message.
fn produce(
    database: &mut dyn Inspector,
    filter: &MessageFilter,
    messages_max: u64,
    options: ProduceOptions,
) -> Result<bool, CommandError> {
    let (mut out, mut producer) = (Stream::default(), Producer::new(options));
    database.read_messages(filter, messages_max, &mut |message| match producer.line(&message) {
        Some(line) => out.write(&line),
        None => ControlFlow::Continue(()),
    })?;
    let _ = out.flush();
    Ok(producer.end())
}
