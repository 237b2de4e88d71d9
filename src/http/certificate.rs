//! What is wrong with a server's certificate, in words.

use super::fault::one_line;

/// Why a certificate is not trusted.
pub(crate) fn certificate_text(cause: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Cause;
    match cause {
        Cause::UnknownIssuer => "nobody who is trusted here has signed it".to_owned(),
        Cause::Expired | Cause::ExpiredContext { .. } => "it has expired".to_owned(),
        Cause::NotValidYet | Cause::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?".to_owned()
        }
        Cause::NotValidForName | Cause::NotValidForNameContext { .. } => "it is for another name".to_owned(),
        // What `rustls-webpki` calls what `openssl req -x509` makes.
        Cause::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            "it is one of an authority, which no server may show (made with `openssl req -x509`? `-addext \
             basicConstraints=CA:FALSE` makes one of a server)"
                .to_owned()
        }
        other => one_line(&other.to_string()),
    }
}
