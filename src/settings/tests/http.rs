//! The HTTP server: warnings, its token, and where this machine connects to.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::variable::load;
use crate::settings::HttpListen;

#[test]
fn other_machines_without_a_token_are_a_warning() {
    for (listen, warns) in [
        ("127.0.0.1:9464", false),
        ("[::1]:9464", false),
        ("[::ffff:127.0.0.1]:9464", false),
        ("unix:/run/http.sock", false),
        ("0.0.0.0:9464", true),
        ("[::]:9464", true),
        ("10.0.0.7:9464", true),
    ] {
        let warning = format!(
            "HTTP_LISTEN={listen} lets other machines read metrics and status without a token; set HTTP_TOKEN_FILE"
        );
        let expected: Vec<String> = warns.then_some(warning).into_iter().collect();
        assert_eq!(load(&[("HTTP_LISTEN", listen)]).unwrap().warnings, expected);
    }
}

#[test]
fn a_token_is_one_word_in_a_file_of_the_service() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let settings = || load(&[("HTTP_LISTEN", "0.0.0.0:9464"), ("HTTP_TOKEN_FILE", path)]).unwrap();
    let token = |text: &str| {
        fs::write(path, text).unwrap();
        settings().http.load_token().map(|token| token.unwrap().expose().to_owned()).map_err(|error| error.to_string())
    };
    assert_eq!(token("s3cret\n"), Ok("s3cret".to_owned()));
    for wrong in ["", "\n", "two words", "t\u{f6}ken", "a\nb"] {
        let line = token(wrong).unwrap_err();
        assert!(line.starts_with("HTTP_TOKEN_FILE "), "{wrong:?}: {line}");
    }
    assert_eq!(settings().warnings, [""; 0]);
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let [warning] = settings().warnings.try_into().unwrap();
    assert!(warning.starts_with("HTTP_TOKEN_FILE: every user of this machine may read"), "{warning}");
    assert_eq!(load(&[]).unwrap().http.load_token().unwrap(), None);
}

#[test]
fn a_probe_connects_to_this_machine() {
    for (listen, connect) in
        [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.7:1", "10.0.0.7:1"), ("unix:/x", "unix:/x")]
    {
        let listen: HttpListen = load(&[("HTTP_LISTEN", listen)]).unwrap().http.listen.unwrap();
        assert_eq!(listen.to_connect().to_string(), connect);
    }
    let line = load(&[]).unwrap().http.require_listen().unwrap_err().to_string();
    assert_eq!(line, "HTTP_LISTEN is not set, so there is no server");
}
