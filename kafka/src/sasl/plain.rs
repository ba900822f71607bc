//! The message of the mechanism PLAIN ([RFC 4616](https://www.rfc-editor.org/rfc/rfc4616)). It contains the password.

use super::Credentials;

/// Encodes an empty authorization identity, the user name and the password.
pub(crate) fn message(credentials: &Credentials) -> Vec<u8> {
    format!("\0{}\0{}", credentials.username, credentials.password.expose()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn the_message_of_the_rfc() {
        let password = Secret::new("tanstaaftanstaaf");
        let credentials = Credentials { username: "tim".to_owned(), password };
        assert_eq!(message(&credentials), b"\0tim\0tanstaaftanstaaf");
    }
}
