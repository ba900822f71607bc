//! Values that shells, editors or copy and paste have damaged.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use kafka::Secret;

use super::known_variables;
use super::variable::{load, no_file};
use crate::settings::{Password, SaslSettings, Settings};

#[test]
fn a_damaged_value_of_any_variable_is_refused() {
    let variables = known_variables();
    assert!(variables.len() > 25);
    for name in variables {
        let is_secret = name == "KAFKA_SASL_PASSWORD";
        for value in
            ["x\n", "x\r\n", "x\0y", "x\u{1b}[2J", "\u{feff}x", "x\u{200b}", " x", "x ", "x\u{a0}", "\"x\"", "'x'"]
        {
            let may_be_meant = is_secret && value.chars().all(|char| !kafka::text::is_unprintable(char));
            let line = load(&[(name, value)]).unwrap_err();
            assert!(line.starts_with(&format!("{name} ")) && !line.contains(kafka::text::is_unprintable), "{line:?}");
            assert_eq!(line.contains("allowed: "), !may_be_meant, "{line}");
            assert!(
                is_secret || line.contains("(a value without") || line.contains("allowed: a value without"),
                "{line}"
            );
        }
        let not_utf8 = OsString::from_vec(b"x\xff".to_vec());
        let line = Settings::load([(name.into(), not_utf8)], Some(no_file().path())).unwrap_err().to_string();
        assert!(line.starts_with(&format!("{name} ")) && line.ends_with("allowed: UTF-8 text"), "{line}");
    }
    let check = |name: &str, value: &str, shown: &str, allowed: &str| {
        assert_eq!(load(&[(name, value)]), Err(format!("{name} is '{shown}'; allowed: {allowed}")));
    };
    let line_end = "a value without a line end after it";
    check("DATABASE_URL", "sqlite:///data/x.db\n", r"sqlite:///data/x.db\n", line_end);
    check("LOG_FILE", "x.log\r", r"x.log\r", line_end);
    check("DATABASE_URL", "sqlite:///data/x.db ", "sqlite:///data/x.db ", "a value without blanks around it");
    let home = "a path that does not begin with '~' or '$', which only a shell replaces";
    check("DATABASE_URL", "sqlite:///~/x.db", "sqlite:///~/x.db", home);
    check("UNIDENTIFIED_LOG_FILE", "~/x.log", "~/x.log", home);
    check("BATCH_MAX_RECORDS", "7 ", "7 ", "a whole number from 1 to 1000000 (a value without blanks around it)");
}

#[test]
fn a_password_with_surrounding_blanks_or_quotes_is_accepted_with_a_warning() {
    let load_with = |password: &str| {
        let sasl = [("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"), ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256")];
        let mut variables = sasl.to_vec();
        variables.extend([("KAFKA_SASL_USERNAME", "u"), ("KAFKA_SASL_PASSWORD", password)]);
        load(&variables).unwrap()
    };
    for password in ["\"hush\"", "hush ", " hush", "'hush'"] {
        let settings = load_with(password);
        let sasl = settings.kafka.security.sasl.unwrap();
        let SaslSettings::Password { password: given, .. } = sasl else { panic!("{sasl:?}") };
        assert_eq!(given, Password::Given(Secret::new(password)));
        let warning = "KAFKA_SASL_PASSWORD begins or ends with a blank or a quote, which is taken as a part of it";
        assert_eq!(settings.warnings, [warning]);
    }
    assert_eq!(load_with("hu 'sh").warnings, Vec::<String>::new());
}
