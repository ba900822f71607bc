//! SCRAM with the examples of the RFCs, and with servers that do not know the password.

use super::*;

/// [RFC 7677, section 3](https://www.rfc-editor.org/rfc/rfc7677#section-3).
const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn client() -> ClientFirst {
    ClientFirst::new(Hash::sha256(), "user", NONCE.to_owned())
}

fn finish(server_first: &str) -> Result<(String, ServerProof), String> {
    client().finish(&Secret::new("pencil"), server_first.as_bytes())
}

#[test]
fn the_example_of_rfc_7677() {
    assert_eq!(client().message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let (message, proof) = finish(SERVER_FIRST).unwrap();
    assert_eq!(
        message,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    proof.verify(SERVER_FINAL.as_bytes()).unwrap();
    proof.verify(format!("{SERVER_FINAL},x=later").as_bytes()).unwrap();
}

/// [RFC 5802, section 5](https://www.rfc-editor.org/rfc/rfc5802#section-5), whose hash is not supported here.
#[test]
fn the_example_of_rfc_5802() {
    let hash = Hash {
        digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
        hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        pbkdf2: pbkdf2::PBKDF2_HMAC_SHA1,
    };
    let client = ClientFirst::new(hash, "user", "fyko+d2lbbFgONRv9qkxdawL".to_owned());
    let server_first = b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
    let (message, proof) = client.finish(&Secret::new("pencil"), server_first).unwrap();
    assert_eq!(message, "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
    proof.verify(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=").unwrap();
}

#[test]
fn names_are_escaped() {
    let check = |name, escaped: &str| {
        assert_eq!(ClientFirst::new(Hash::sha512(), name, "x".to_owned()).message(), format!("n,,n={escaped},r=x"));
    };
    check("a=b,c", "a=3Db=2Cc");
    check("=2C", "=3D2C");
    check("Jürgen", "Jürgen");
}

#[test]
fn nonces_differ_and_fit_into_a_message() {
    let (one, other) = (nonce().unwrap(), nonce().unwrap());
    assert_ne!(one, other);
    assert!(one.len() >= NONCE_BYTES && !one.contains(','), "{one}");
}

#[test]
fn invalid_first_messages_of_a_server() {
    let check = |message: &str, problem: &str| {
        let error = finish(message).map(drop).unwrap_err();
        assert!(error.contains(problem), "{message}: {error}");
    };
    check("", "no 'r='");
    check("r=rOprNGfwEbeRWgbNEkqOx", "no 's='");
    check("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z", "no 'i='");
    check("s=W22Z,r=rOprNGfwEbeRWgbNEkqOx,i=4096", "no 'r='");
    check(&format!("m=must-understand,{SERVER_FIRST}"), "no 'r='");
    check("r=another,s=W22Z,i=4096", "does not begin with the client's");
    check("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=4096", "does not begin with the client's");
    check("r=rOprNGfwEbeRWgbNEkqOx,s=W22,i=4096", "salt is not base64");
    for iterations in ["4095", "0", "-4096", "1000001", "99999999999999999999", "", "many"] {
        let message = format!("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i={iterations}");
        check(&message, &format!("'{iterations}' iterations; allowed: 4096 to 1000000"));
    }
    let error = client().finish(&Secret::new("pencil"), b"r=\xff").map(drop).unwrap_err();
    assert!(error.contains("not UTF-8"), "{error}");
}

#[test]
fn a_server_that_does_not_know_the_password() {
    let (_, proof) = finish(SERVER_FIRST).unwrap();
    let check = |message: &[u8], problem: &str| {
        let error = proof.verify(message).unwrap_err();
        assert!(error.contains(problem), "{error}");
    };
    check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "no signature");
    check(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "signature is wrong");
    check(b"v=6rriTRBi", "signature is wrong");
    check(b"v=", "signature is wrong");
    check(b"", "no signature");
    check(b"ok", "no signature");
    check(b"e=other-error", "no signature");
    check(b"\xff", "not UTF-8");
    // The signature of another exchange is wrong in this one.
    let other = SERVER_FIRST.replace("hvYD", "hvYE");
    let (_, proof) = finish(&other).unwrap();
    assert!(proof.verify(SERVER_FINAL.as_bytes()).unwrap_err().contains("signature is wrong"));
}

#[test]
fn a_server_that_rejects_the_clients_proof() {
    assert_eq!(refusal(b"e=invalid-proof"), Some("invalid-proof"));
    assert_eq!(refusal(b"e=unknown-user,x=1"), Some("unknown-user"));
    for proof in [SERVER_FINAL.as_bytes(), b"", b"\xff", b"v=e="] {
        assert_eq!(refusal(proof), None);
    }
}
