//! TLS towards other servers: certificates are checked as the system's other programs check them.

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, crypto};
use tokio_rustls::{TlsConnector, rustls};

/// Why there is no connection over TLS.
#[derive(Debug)]
pub enum TlsError {
    /// The other side does not prove who it is.
    Untrusted(String),
    /// Anything else.
    Failed(String),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(why) => Self::Untrusted(why.to_string()),
            rustls::Error::NoCertificatesPresented => Self::Untrusted("it shows none".into()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        match rustls_of(&error) {
            Some(inner) => inner.clone().into(),
            None => Self::Failed(error.to_string()),
        }
    }
}

/// Why the other side of a connection that failed did not prove who it is; none: it failed for another reason. `error`: that
/// of any library that speaks TLS by rustls.
#[must_use]
pub fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    match rustls_of(error)?.clone().into() {
        TlsError::Untrusted(why) => Some(why),
        TlsError::Failed(_) => None,
    }
}

/// The error of rustls that lies in another one. An [`io::Error`] is no source of what it holds.
fn rustls_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map(|e| e as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

/// What the system trusts is read once.
fn config() -> Result<Arc<ClientConfig>, TlsError> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// Speaks TLS over a connection to `host`.
///
/// # Errors
/// It does not prove who it is, or does not speak TLS.
pub async fn over(stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, TlsError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|e| TlsError::Failed(e.to_string()))?;
    Ok(TlsConnector::from(config()?).connect(name, stream).await?)
}
