//! Detects values that shells, editors, YAML, container runtimes or copy and paste have damaged: line ends, invisible characters,
//! surrounding blanks and quotes. Applies to every setting, whatever its type. Must not know variable names.
//!
//! A damaged value is refused, not repaired. A password may have surrounding blanks and quotes; they cause a warning.

use kafka::text::is_unprintable;

/// Quotation marks of shells and word processors.
const QUOTES: [char; 9] = ['"', '\'', '`', '“', '”', '„', '‘', '’', '«'];

/// The allowed form, if the value is damaged; worded to follow "allowed: ".
pub(super) fn of_value(value: &str) -> Option<String> {
    of_characters(value).or_else(|| surrounding(value).map(str::to_owned))
}

/// Like [`of_value`], for a file's path.
pub(super) fn of_path(path: &str) -> Option<String> {
    of_value(path).or_else(|| {
        // Also at the root: `sqlite:////~/data` gives `/~/data`.
        let is_unexpanded = |part: &str| part.starts_with('~') || part.starts_with('$');
        let first = path.split('/').find(|part| !part.is_empty())?;
        is_unexpanded(first)
            .then(|| "a path that does not begin with '~' or '$', which only a shell replaces".to_owned())
    })
}

/// Like [`of_value`], for a secret, of which nothing may be shown.
pub(super) fn of_secret(secret: &str) -> Option<String> {
    let is_damaged = secret.contains(is_unprintable);
    is_damaged.then(|| "a password of one line, without control and invisible characters".to_owned())
}

/// Whether a secret has surrounding blanks or quotes, which are allowed but rare.
pub(super) fn is_secret_surrounded(secret: &str) -> bool {
    surrounding(secret).is_some()
}

fn of_characters(value: &str) -> Option<String> {
    if value.ends_with(['\n', '\r']) {
        return Some("a value without a line end after it".to_owned());
    }
    let found = value.chars().find(|char| is_unprintable(*char))?;
    Some(format!("a value without control and invisible characters (here {})", found.escape_default()))
}

fn surrounding(value: &str) -> Option<&'static str> {
    if value.trim() != value {
        return Some("a value without blanks around it");
    }
    value.trim_matches(QUOTES).len().lt(&value.len()).then_some("a value without quotes around it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found_whatever_the_setting() {
        let check = |value: &str, damage: Option<&str>| assert_eq!(of_value(value).as_deref(), damage, "{value:?}");
        for good in ["", "a", "a b", "it's", "Größe", "a'b\"c", "~", "a~b", "team$prod", "50%", "{}"] {
            check(good, None);
        }
        let line_end = Some("a value without a line end after it");
        for value in ["a\n", "a\r\n", "a\r", "\n", "a \n", "'a'\n"] {
            check(value, line_end);
        }
        for value in [" a", "a ", "\u{a0}a", "a\u{3000}", " "] {
            check(value, Some("a value without blanks around it"));
        }
        for value in ["\"a\"", "'a'", "\"a", "a'", "“a”", "‘a’", "`a`", "\"", "''"] {
            check(value, Some("a value without quotes around it"));
        }
        for (value, shown) in [
            ("a\nb", r"\n"),
            ("\0a", r"\u{0}"),
            ("a\tb", r"\t"),
            ("\ta", r"\t"),
            ("a\u{200b}", r"\u{200b}"),
            ("\u{feff}a", r"\u{feff}"),
        ] {
            check(value, Some(&format!("a value without control and invisible characters (here {shown})")));
        }
    }

    #[test]
    fn a_path_must_not_need_expansion_by_a_shell() {
        for good in ["", "data/x.db", "/var/x.db", "a/~/b", "./~x", "x~", "a$b"] {
            assert_eq!(of_path(good), None, "{good}");
        }
        for bad in
            ["~", "~/x.db", "~me/x.db", "/~/x.db", "$HOME/x.db", "${HOME}/x", "/$HOME/x", "x.db\n", "x.db ", "'x.db'"]
        {
            assert!(of_path(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_password_may_have_blanks_and_quotes() {
        for good in ["a", " a ", "'a'", "pa$$word", "~"] {
            assert_eq!(of_secret(good), None, "{good}");
        }
        for bad in ["a\n", "a\0", "a\u{200b}", "\u{7f}"] {
            assert!(of_secret(bad).is_some(), "{bad:?}");
        }
        assert!(is_secret_surrounded(" a") && is_secret_surrounded("\"a\"") && !is_secret_surrounded("a'b c"));
    }
}
