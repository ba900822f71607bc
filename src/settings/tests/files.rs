//! Settings files: their lines, their precedence, and `.env.example`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::known_variables;
use super::variable::{load, no_file};
use crate::runtime::error_chain::ErrorChain;
use crate::settings::Settings;

/// Loads a file, with an empty environment.
fn load_file(text: impl AsRef<[u8]>) -> Result<Settings, String> {
    let file = no_file();
    fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    Settings::load([], Some(file.path())).map_err(|error| ErrorChain(&error).to_string().replace(&path, "FILE"))
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = no_file();
    fs::write(file.path(), "KAFKA_TOPIC=from_file\nKAFKA_GROUP_ID=from_file\nLOG_FILE=from_file\n").unwrap();
    let environment = [("KAFKA_TOPIC", "from_env"), ("LOG_FILE", "")].map(|(n, v)| (n.into(), v.into()));
    let settings = Settings::load(environment, Some(file.path())).unwrap();
    assert_eq!(settings.kafka.topics, ["from_env"]);
    assert_eq!(settings.kafka.group_id, "from_file");
    assert_eq!(settings.log.file, None);
    // An empty variable of the environment wins too.
    let error = Settings::load([("KAFKA_TOPIC".into(), "".into())], Some(file.path())).unwrap_err();
    assert!(error.to_string().starts_with("KAFKA_TOPIC is '';"), "{error}");
    // A value that is not UTF-8 is refused; a name that is not UTF-8 is ignored.
    let not_utf8 = || OsString::from_vec(b"a\xff".to_vec());
    let load =
        |name: OsString| Settings::load([(name, not_utf8())], Some(file.path())).map_err(|error| error.to_string());
    assert_eq!(load("KAFKA_TOPIC".into()).unwrap_err(), "KAFKA_TOPIC is 'a\u{fffd}'; allowed: UTF-8 text");
    assert_eq!(load("DATABASE_URL".into()).unwrap_err(), "DATABASE_URL is 'a\u{fffd}'; allowed: UTF-8 text");
    assert_eq!(load("LOG_FILE".into()).unwrap_err(), "LOG_FILE is 'a\u{fffd}'; allowed: UTF-8 text");
    assert!(load(not_utf8()).is_ok());
}

#[test]
fn lines_of_a_file_are_parsed_or_refused() {
    let topics = |text: &str| load_file(text).map(|settings| settings.kafka.topics.join("+"));
    for text in [
        "KAFKA_TOPIC=t",
        "\u{feff}KAFKA_TOPIC=t\r\n",
        "# KAFKA_TOPIC=x\n\n  export KAFKA_TOPIC = 't' # the topic\n",
        "OTHER=\"two\nlines\"\nKAFKA_TOPIC=\"t\"\n",
    ] {
        assert_eq!(topics(text).as_deref(), Ok("t"), "{text}");
    }
    let refused = |text: &str, line: &str| assert_eq!(topics(text), Err(line.to_owned()), "{text}");
    let line = |line: usize, rest: &str| format!("line {line} of the settings file 'FILE' {rest}");
    let no_equals = "has no '=' after the name; allowed: NAME=value";
    refused("A=1\nKAFKA TOPIC=t\n", &line(2, no_equals));
    refused("A=1\nhunter2\n", &line(2, no_equals));
    refused("A=1\n\n=x\nB=2\n", &line(3, "does not begin with a name of letters, digits and '_'; allowed: NAME=value"));
    // No value is shown: it may be a secret.
    refused(
        "A=\"two\nlines\"\nKAFKA_SASL_PASSWORD='open secret\nKAFKA_TOPIC=t\n",
        &line(
            3,
            "begins 'KAFKA_SASL_PASSWORD=' and opens a quote (') that is not closed; put a value that has this character \
                  in other quotes",
        ),
    );
    refused(
        "KAFKA_SASL_PASSWORD=open secret",
        &line(1, "begins 'KAFKA_SASL_PASSWORD=' and has text after a blank; put the value in single quotes"),
    );
    for (text, name) in
        [("KAFKA_GROUP_ID=team$prod", "KAFKA_GROUP_ID"), ("KAFKA_SASL_PASSWORD=ab$hush", "KAFKA_SASL_PASSWORD")]
    {
        let rest = format!(
            "begins '{name}=' and has a '$' with the name of a variable that is not set; put the value in single quotes"
        );
        refused(text, &line(1, &rest));
    }
    assert_eq!(load_file("KAFKA_GROUP_ID='team$prod'").unwrap().kafka.group_id, "team$prod");
    assert_eq!(topics("OWN=t\nKAFKA_TOPIC=${OWN}"), Ok("t".to_owned()));
    refused(
        "KAFKA_TOPIC=t\nKAFKA_TOPIC=t",
        &line(2, "begins 'KAFKA_TOPIC=' and sets it more than once, first in line 1"),
    );
    refused(
        "KAFKA_TOPIC=",
        "KAFKA_TOPIC is ''; allowed: one or several comma-separated topic names of 1 to 249 letters, digits, '.', '_' and '-'",
    );
    refused(&"#".repeat(65_537), "cannot read the settings file 'FILE': more than 65536 bytes");
    assert_eq!(
        load_file(b"KAFKA_TOPIC=t\nKAFKA_GROUP_ID=\xff"),
        Err("cannot read the settings file 'FILE': line 2 is not UTF-8".to_owned())
    );
    assert_eq!(
        load_file(b"\xff\xfeK\0"),
        Err("cannot read the settings file 'FILE': it is UTF-16: save it as UTF-8".to_owned())
    );
    let endless = Settings::load([], Some(Path::new("/dev/zero"))).unwrap_err();
    assert_eq!(ErrorChain(&endless).to_string(), "cannot read the settings file '/dev/zero': more than 65536 bytes");
    let error = Settings::load([], Some(Path::new("/no/such/.env"))).unwrap_err();
    assert_eq!(
        ErrorChain(&error).to_string(),
        "cannot read the settings file '/no/such/.env': No such file or directory (os error 2)"
    );
}

#[test]
fn the_line_of_an_error_in_a_long_file_is_named() {
    let lines = |letter: char| (0..3500).map(|number| format!("{letter}{number}=x\n")).collect::<Vec<_>>().concat();
    let text = format!("{}# good\n\n  no good\n{}", lines('A'), lines('B'));
    let expected = "line 3503 of the settings file 'FILE' has no '=' after the name; allowed: NAME=value";
    assert_eq!(load_file(text), Err(expected.to_owned()));
}

#[test]
fn the_example_file_has_every_variable_with_its_default() {
    let example = include_str!("../../../.env.example");
    let defaults = load(&[]).unwrap();
    assert_eq!(load_file(example), Ok(defaults.clone()));

    let settings: Vec<&str> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .collect();
    assert_eq!(load_file(settings.join("\n")), Ok(defaults));

    let mut named: Vec<&str> = settings.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let mut known = known_variables();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}
