//! When a certificate expires (`notAfter`). Must not know files.
//!
//! rustls keeps the dates of a certificate to itself, but names `notAfter` when it refuses an expired certificate: each
//! certificate is verified at the end of time. It checks the dates first, so that neither the issuer nor the purpose matter.

use std::time::{Duration, SystemTime};

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

/// When the first of these certificates expires; `None` if none of them has a date.
pub(super) fn of_chain(chain: &[CertificateDer<'_>]) -> Option<SystemTime> {
    chain.iter().filter_map(of_certificate).min()
}

fn of_certificate(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let verified =
        verify_server_cert_signed_by_trust_anchor(&certificate, &RootCertStore::empty(), &[], end_of_time, &[]);
    match verified {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(not_after.as_secs()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Made with OpenSSL 3.0: `openssl ca -selfsign -startdate 20200102030405Z -enddate 20310506070809Z`, for clients only
    /// (`extendedKeyUsage=clientAuth`).
    const CLIENT: &str = "\
-----BEGIN CERTIFICATE-----
MIIBQzCB6aADAgECAgEBMAoGCCqGSM49BAMCMA8xDTALBgNVBAMMBGxlYWYwHhcN
MjAwMTAyMDMwNDA1WhcNMzEwNTA2MDcwODA5WjAPMQ0wCwYDVQQDDARsZWFmMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElj3bZ1u8xdetEWaG+Ni01AJwC7TE6V6z
VcjqOV/o3OM5S7EoTx67MyC1rZM1nONFpSFMPGe2zWKE+MlLwk/dJ6M2MDQwEwYD
VR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0OBBYEFKnfj9naJN7KhogY7HO9xw+r09zJ
MAoGCCqGSM49BAMCA0kAMEYCIQC2sFRNA56h80PMN9/kQknc9tvqr8rkkhPU/+Xa
hVNFagIhAJ58KholSlhuetygtpBROC7QthmgRvIPRS6DyAzDTeXi
-----END CERTIFICATE-----
";

    /// A CA certificate, with a date after 2049, which has another form: `-enddate 20610203040506Z`.
    const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBSjCB8aADAgECAgECMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWF1dGhvcml0
eTAgFw0yMDAxMDIwMzA0MDVaGA8yMDYxMDIwMzA0MDUwNlowFDESMBAGA1UEAwwJ
YXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElj3bZ1u8xdetEWaG
+Ni01AJwC7TE6V6zVcjqOV/o3OM5S7EoTx67MyC1rZM1nONFpSFMPGe2zWKE+MlL
wk/dJ6MyMDAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUqd+P2dok3sqGiBjs
c73HD6vT3MkwCgYIKoZIzj0EAwIDSAAwRQIgF6SNiRrw5jtAiBJYspyByEecZv+P
VJ4qVI0c5eN0B54CIQCwvHqSFHS0PPPZ6s3O+C0e4DVXlJvN1Uu8s2OQ8W1jPA==
-----END CERTIFICATE-----
";

    /// A certificate for devices, which never expires
    /// ([RFC 5280](https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5)): `-enddate 99991231235959Z`.
    const DEVICE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBSjCB8aADAgECAgEDMAoGCCqGSM49BAMCMBIxEDAOBgNVBAMMB2VuZGxlc3Mw
IBcNMjAwMTAyMDMwNDA1WhgPOTk5OTEyMzEyMzU5NTlaMBIxEDAOBgNVBAMMB2Vu
ZGxlc3MwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASWPdtnW7zF160RZob42LTU
AnALtMTpXrNVyOo5X+jc4zlLsShPHrszILWtkzWc40WlIUw8Z7bNYoT4yUvCT90n
ozYwNDATBgNVHSUEDDAKBggrBgEFBQcDAjAdBgNVHQ4EFgQUqd+P2dok3sqGiBjs
c73HD6vT3MkwCgYIKoZIzj0EAwIDSAAwRQIhAMab4vWd8mB8sapBhqaur/gkS1hI
/v0DV9fHQVVWoVDXAiBW001870pkUove0q13Ht43/oCHia+x/cE+lZZeq4huXQ==
-----END CERTIFICATE-----
";

    /// The dates as `date --utc +%s` gives them, in seconds since 1970.
    #[test]
    fn the_first_date_of_a_chain_counts() {
        let expiry = |pem: &[&str]| {
            let chain: Vec<_> = pem.iter().map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).collect();
            let expires_at = of_chain(&chain)?;
            Some(expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
        };
        assert_eq!(expiry(&[CLIENT]), Some(1_935_817_689));
        assert_eq!(expiry(&[AUTHORITY]), Some(2_874_629_106));
        assert_eq!(expiry(&[DEVICE]), Some(253_402_300_799));
        assert_eq!(expiry(&[AUTHORITY, CLIENT, DEVICE]), Some(1_935_817_689));
        assert_eq!(of_chain(&[CertificateDer::from(vec![1, 2, 3])]), None);
    }
}
