//! Command lines, with the command that each gives or the line that refuses it.

use super::*;
use crate::commands::decode::{Framing, Source};
use crate::commands::unidentified::{ExportFormat, FilterOptions, ProduceOptions, ShowForm, ShowOptions};
use crate::commands::when::When;
use crate::entity::Reason;

fn parse_line(line: &str) -> Result<CommandLine, String> {
    parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
}

fn command(command: Command) -> CommandLine {
    CommandLine::Command(Invocation { env_file: None, command })
}

#[test]
fn commands_with_their_options() {
    let run = |exit_at_end| command(Command::Run { exit_at_end });
    let check = |verbose| command(Command::Check { verbose });
    let status = |json, lag_max| command(Command::Status(StatusOptions { json, lag_max }));
    let replay = |dry_run| command(Command::Replay { dry_run });
    let reset = |target, scope: &[&str], dry_run| {
        let scope = scope.iter().map(|text| TopicScope::parse(text).unwrap()).collect();
        command(Command::Reset(ResetOptions { target, scope, dry_run }))
    };
    for (line, expected) in [
        ("", run(false)),
        ("run", run(false)),
        ("--exit-at-end", run(true)),
        ("check", check(false)),
        ("check --verbose", check(true)),
        ("health", command(Command::Health { ready: false })),
        ("health --ready", command(Command::Health { ready: true })),
        ("status", status(false, None)),
        ("status --json", status(true, None)),
        ("status --max-lag-seconds 1.5 --json", status(true, Some(Duration::from_millis(1_500)))),
        ("replay", replay(false)),
        ("replay --dry-run", replay(true)),
        ("reset --to-earliest", reset(Target::Earliest, &[], false)),
        ("reset --to-latest --topic a", reset(Target::Latest, &["a"], false)),
        ("--to-offset=7 reset --topic a:1,2 --topic b --dry-run", reset(Target::Offset(7), &["a:1,2", "b"], true)),
        ("reset --to-datetime 1970-01-02", reset(Target::Timestamp(86_400_000), &[], false)),
        ("tail", command(Command::Tail { json: false })),
        ("tail --json", command(Command::Tail { json: true })),
        ("verify", command(Command::Verify)),
        ("views a.db b/c.db", CommandLine::Views(vec!["a.db".into(), "b/c.db".into()])),
        ("--help", CommandLine::Text(HELP)),
        ("status -V", CommandLine::Text(VERSION)),
    ] {
        assert_eq!(parse_line(line), Ok(expected), "{line}");
    }
}

#[test]
fn messages_to_decode() {
    let decode = |sources: &[Source], framing, json| {
        CommandLine::Decode(DecodeOptions { sources: sources.to_vec(), framing, json })
    };
    let file = |path: &str| Source::File(path.into());
    for (line, expected) in [
        ("decode", decode(&[Source::StandardInput], Framing::Lines, false)),
        ("decode - --json", decode(&[Source::StandardInput], Framing::Lines, true)),
        ("decode --whole a.json b.json", decode(&[file("a.json"), file("b.json")], Framing::Whole, false)),
        ("decode --env-file x run", decode(&[file("run")], Framing::Lines, false)),
        ("decode x --help", CommandLine::Text(DECODE_HELP)),
    ] {
        assert_eq!(parse_line(line), Ok(expected), "{line}");
    }
    assert_eq!(parse_line("decode --dry-run"), Err("invalid option '--dry-run'; see --help".to_owned()));
    assert_eq!(parse_line("--ready decode"), Err("'--ready' belongs to the command 'health'; see --help".to_owned()));
}

#[test]
fn unidentified_messages() {
    let unidentified =
        |line: &str, expected| assert_eq!(parse_line(line), Ok(command(Command::Unidentified(expected))), "{line}");
    let list = |filter, messages_max, json| UnidentifiedCommand::List { filter, messages_max, json };
    let export = |filter, messages_max, format| UnidentifiedCommand::Export { filter, messages_max, format };
    let show = |form| UnidentifiedCommand::Show(ShowOptions { topic: "a".to_owned(), partition: 1, offset: 23, form });
    let none = FilterOptions::default;
    let all = FilterOptions {
        topic: Some("a".to_owned()),
        partition: Some(2),
        reason: Some(Reason::NotJson),
        since: When::parse("2026-01-15"),
        before: When::parse("7d"),
        replayed: Some(false),
    };
    unidentified("unidentified", list(none(), 50, false));
    unidentified("unidentified list --json --limit 0", list(none(), u64::MAX, true));
    let filter = "--topic a --partition 2 --reason not_json --since 2026-01-15 --before 7d --unreplayed";
    unidentified(&format!("unidentified {filter} --limit 7"), list(all.clone(), 7, false));
    unidentified(&format!("unidentified export {filter}"), export(all, u64::MAX, ExportFormat::JsonLines));
    let format = ExportFormat::Produce(ProduceOptions { without_keys: true, without_headers: false });
    unidentified("unidentified export --produce --without-keys --limit=1", export(none(), 1, format));
    unidentified("unidentified show a 1 23", show(ShowForm::Text));
    unidentified("unidentified show --raw a 1 23", show(ShowForm::Raw));
    unidentified("unidentified show a 1 23 --json", show(ShowForm::Json));
    assert_eq!(parse_line("unidentified -h"), Ok(CommandLine::Text(UNIDENTIFIED_HELP)));

    let prune = |line: &str, filter, dry_run| {
        assert_eq!(parse_line(line), Ok(command(Command::Prune(PruneOptions { filter, dry_run }))), "{line}");
    };
    prune("prune --all", none(), false);
    prune("prune --replayed --dry-run", FilterOptions { replayed: Some(true), ..none() }, true);
    prune("prune --before 90d", FilterOptions { before: When::parse("90d"), ..none() }, false);
    assert_eq!(parse_line("prune --help"), Ok(CommandLine::Text(PRUNE_HELP)));
}

#[test]
fn wrong_usage_of_unidentified_messages() {
    for (line, expected) in [
        ("unidentified all", "unidentified takes list, show TOPIC PARTITION OFFSET, or export"),
        ("unidentified list x", "unidentified takes list, show TOPIC PARTITION OFFSET, or export"),
        ("unidentified show a 1", "unidentified show takes TOPIC PARTITION OFFSET"),
        ("unidentified show a -1 2", "invalid option '-1'"),
        ("unidentified show a x 2", "PARTITION is 'x'; allowed: a whole number from 0"),
        ("unidentified show a 1 2 --limit 1", "unidentified show takes no filter and no --limit"),
        ("unidentified show a 1 2 --raw --json", "--json and --raw are two formats: give one of them"),
        ("unidentified --raw", "--raw belongs to 'unidentified show'"),
        ("unidentified --produce", "--produce, --without-keys and --without-headers belong to 'unidentified export'"),
        ("unidentified export --without-keys", "--without-keys and --without-headers need --produce"),
        ("unidentified export --produce --json", "--produce and --json are two formats: give one of them"),
        ("unidentified --reason x", "--reason is 'x'; allowed: empty, not_json, unknown_type, invalid_field, rejected"),
        ("unidentified --replayed --unreplayed", "--replayed and --unreplayed exclude each other"),
        ("unidentified --verbose", "invalid option '--verbose'"),
        (
            "prune",
            "prune takes at least one of --replayed, --before TIME, --reason R, --topic TOPIC and the other filters, or --all",
        ),
        ("prune --all --replayed", "prune takes --all or filters, not both"),
        ("prune x --all", "unexpected argument \"x\""),
        ("--json prune --all", "'--json' belongs to the command 'status'"),
    ] {
        assert_eq!(parse_line(line), Err(format!("{expected}; see --help")), "{line}");
    }
    let error = parse_line("prune --before yesterday").unwrap_err();
    assert_eq!(error, format!("--before is 'yesterday'; allowed: {}; see --help", When::ALLOWED));
}

#[test]
fn the_settings_file_may_be_named_anywhere() {
    for (line, path, command) in [
        ("run --exit-at-end --env-file a/b", "a/b", Command::Run { exit_at_end: true }),
        ("--env-file=x check", "x", Command::Check { verbose: false }),
    ] {
        let invocation = Invocation { env_file: Some(PathBuf::from(path)), command };
        assert_eq!(parse_line(line), Ok(CommandLine::Command(invocation)), "{line}");
    }
}

#[test]
fn wrong_usage() {
    let one_target =
        "reset takes exactly one of --to-earliest, --to-latest, --to-offset N and --to-datetime T; see --help";
    for (line, expected) in [
        (
            "start",
            "unknown command 'start': run, check, health, status, decode, unidentified, prune, tail, replay, reset, verify or views; see --help",
        ),
        ("run now", "unexpected argument \"now\"; see --help"),
        ("--fast", "invalid option '--fast'; see --help"),
        ("--env-file", "missing argument for option '--env-file'; see --help"),
        ("check --json", "'--json' belongs to the command 'status'; see --help"),
        ("verify --json", "'--json' belongs to the command 'status'; see --help"),
        ("views --json a.db", "'--json' belongs to the command 'status'; see --help"),
        ("check --max-lag-seconds 1", "'--max-lag-seconds' belongs to the command 'status'; see --help"),
        ("status --verbose", "'--verbose' belongs to the command 'check'; see --help"),
        ("status --exit-at-end", "'--exit-at-end' belongs to the command 'run'; see --help"),
        ("verify --dry-run", "'--dry-run' belongs to the command 'replay'; see --help"),
        ("run --to-earliest", "'--to-earliest' belongs to the command 'reset'; see --help"),
        ("status --topic a", "'--topic' belongs to the command 'reset'; see --help"),
        ("reset", one_target),
        ("reset --to-earliest --to-offset 1", one_target),
        ("reset --to-offset -1", "--to-offset is '-1'; allowed: a whole number from 0; see --help"),
        ("reset --to-latest --topic a:", "--topic is 'a:'; allowed: TOPIC or TOPIC:PARTITION,PARTITION; see --help"),
        ("views", "views takes 1 to 10 database files, not 0; see --help"),
        ("views x x x x x x x x x x x", "views takes 1 to 10 database files, not 11; see --help"),
    ] {
        assert_eq!(parse_line(line), Err(expected.to_owned()), "{line}");
    }
    for value in ["x", "-1", "", "nan", "1e400"] {
        let expected = format!("--max-lag-seconds is '{value}'; allowed: a number of seconds; see --help");
        assert_eq!(parse_line(&format!("status --max-lag-seconds={value}")), Err(expected));
    }
}
