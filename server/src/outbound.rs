//! Connections to other servers: TCP that keeps little unsent, and TLS over it, where certificates are checked as the
//! system's other programs check them.

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, crypto};
use tokio_rustls::{TlsConnector, rustls};

/// How long a connection may take, and as long again the handshake of TLS.
const CONNECT: Duration = Duration::from_secs(8);

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no connection.
#[derive(Debug)]
pub enum OpenError {
    /// The other side does not prove who it is.
    Untrusted(String),
    /// Anything else.
    Failed(String),
}

impl From<rustls::Error> for OpenError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(why) => Self::Untrusted(why.to_string()),
            rustls::Error::NoCertificatesPresented => Self::Untrusted("it shows none".into()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<io::Error> for OpenError {
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
        OpenError::Untrusted(why) => Some(why),
        OpenError::Failed(_) => None,
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
fn config() -> Result<Arc<ClientConfig>, OpenError> {
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

/// Connects within 8 s; then, where `tls` names whom to expect, speaks TLS within 8 s more. At most some `unsent` bytes wait
/// in the kernel before a write waits: what waits with the caller can still be left out.
///
/// # Errors
/// Nobody answers there, or another one than was meant.
pub async fn open(at: impl ToSocketAddrs, tls: Option<&str>, unsent: u32) -> Result<Box<dyn Stream>, OpenError> {
    let tcp = within(TcpStream::connect(at)).await?;
    tcp.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket2::SockRef::from(&tcp).set_tcp_notsent_lowat(unsent)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket2::SockRef::from(&tcp).set_send_buffer_size(4 * unsent as usize)?;
    let Some(host) = tls else { return Ok(Box::new(tcp)) };
    let name = ServerName::try_from(host.to_owned()).map_err(|e| OpenError::Failed(e.to_string()))?;
    Ok(Box::new(within(TlsConnector::from(config()?).connect(name, tcp)).await?))
}

async fn within<T>(opening: impl Future<Output = io::Result<T>>) -> Result<T, OpenError> {
    match tokio::time::timeout(CONNECT, opening).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(OpenError::Failed("no answer".into())),
    }
}
