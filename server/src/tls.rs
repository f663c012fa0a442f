//! HTTPS and RTMPS with the operator's own certificate.
//!
//! TLS ends here; what was inside it goes on to the same code as a connection without it. That code wants sockets of its own
//! (media is written to them past hyper, see [`crate::egress`]), so each connection gets one: one end of a pair over
//! loopback, whose other end is copied to and from the encrypted one. The pair is made by this process alone; where another
//! program connects to the moment's listener first, it is sent away.
//!
//! A certificate that is renewed on the disk is taken within a minute, without a restart. One that cannot be used then is
//! told in the log, and the old one stays.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);
/// Bytes that are copied at once, each way. Two of them are what a connection costs besides its sockets.
const COPY: usize = 16 * 1024;
/// Most bytes of a certificate with its chain, or of a key.
const FILE_MAX: u64 = 1024 * 1024;

/// Where the certificate is, and where it is served with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM (PKCS #8, PKCS #1 or SEC 1), without a password.
    pub key: PathBuf,
    /// Where HTTPS is served; none: nowhere. Port 0 takes any free one.
    #[serde(default)]
    pub https: Option<SocketAddr>,
    /// Where RTMPS is taken; none: nowhere. Port 0 takes any free one.
    #[serde(default)]
    pub rtmps: Option<SocketAddr>,
}

/// The certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("The {what} {path} cannot be read: {source}. Check the path under [tls], and that this user may read it.")]
    Unreadable {
        /// Certificate or key.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("The {what} {path} holds none: {detail}. It has to be a PEM file, as certbot and others write it.")]
    Empty {
        /// Certificate or key.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Certificate and key do not fit, or are of a kind that is not known.
    #[error("The certificate {certificate} cannot be used with the key {key}: {detail}.")]
    Unfit {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        detail: String,
    },
}

/// What a file was when it was read last.
type Seen = [Option<(SystemTime, u64)>; 2];

/// Ends TLS for the connections of one listener or more.
pub struct Front {
    files: Tls,
    /// For HTTPS and for RTMPS: they differ by the protocols that are offered.
    configs: RwLock<[Arc<ServerConfig>; 2]>,
    seen: Mutex<Seen>,
}

/// What is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// HTTP/1.1.
    Http,
    /// RTMP.
    Rtmp,
}

impl Front {
    /// Reads the certificate and the key.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn open(files: &Tls) -> Result<Self, TlsError> {
        let seen = seen(files);
        let configs = RwLock::new(read(files)?);
        Ok(Self { files: files.clone(), configs, seen: Mutex::new(seen) })
    }

    /// Looks at the files once a minute until `stop`.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => self.look(),
            }
        }
    }

    /// Reads the files again if they changed.
    fn look(&self) {
        let now = seen(&self.files);
        if std::mem::replace(&mut *self.seen.lock(), now) == now {
            return;
        }
        match read(&self.files) {
            Ok(configs) => {
                *self.configs.write() = configs;
                tracing::info!("The certificate was renewed.");
            }
            Err(error) => tracing::error!(%error, "The certificate changed and cannot be used; the old one stays."),
        }
    }

    /// Shakes hands. Gives the socket of what is inside, and what copies until either end closes.
    ///
    /// # Errors
    /// The handshake fails or takes too long, or there are no more sockets.
    pub async fn open_connection(
        &self,
        tcp: TcpStream,
        inside: Inside,
    ) -> io::Result<(TcpStream, impl Future<Output = ()> + Send + 'static)> {
        let config = Arc::clone(&self.configs.read()[inside as usize]);
        let mut outer = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(tcp)).await??;
        let (given, mut kept) = pair().await?;
        let copy = async move {
            // How a connection ends is nobody's failure: the peer went, or the server closed it.
            let _ = tokio::io::copy_bidirectional_with_sizes(&mut outer, &mut kept, COPY, COPY).await;
        };
        Ok((given, copy))
    }
}

/// Two ends of a connection of this process with itself.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let kept = TcpStream::connect(listener.local_addr()?).await?;
    kept.set_nodelay(true)?;
    let own = kept.local_addr()?;
    loop {
        let (given, peer) = listener.accept().await?;
        if peer == own {
            return Ok((given, kept));
        }
    }
}

fn seen(files: &Tls) -> Seen {
    [&files.certificate, &files.key].map(|path| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    })
}

fn read(files: &Tls) -> Result<[Arc<ServerConfig>; 2], TlsError> {
    let bytes = contents("certificate", &files.certificate)?;
    let empty = |what, path: &Path, detail: String| TlsError::Empty { what, path: path.to_owned(), detail };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, PemError>>()
        .map_err(|e| empty("certificate", &files.certificate, e.to_string()))?;
    if chain.is_empty() {
        return Err(empty("certificate", &files.certificate, "no certificate is in it".into()));
    }
    let bytes = contents("key", &files.key)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| empty("key", &files.key, e.to_string()))?;
    let unfit =
        |detail: String| TlsError::Unfit { certificate: files.certificate.clone(), key: files.key.clone(), detail };
    let rtmp = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| unfit(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| unfit(e.to_string()))?;
    // RFC 7301: a browser that offers HTTP/2 as well must hear that it is HTTP/1.1.
    let mut http = rtmp.clone();
    http.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok([Arc::new(http), Arc::new(rtmp)])
}

fn contents(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { what, path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_MAX {
        return Err(unreadable(io::Error::other(format!("it has {size} bytes"))));
    }
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};

    use super::*;

    /// A certificate for a name, put into a folder; gives what a client has to trust.
    fn certificate(folder: &Path, name: &str) -> (Tls, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let files = Tls { certificate: folder.join("cert.pem"), key: folder.join("key.pem"), https: None, rtmps: None };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        (files, made.cert.der().clone())
    }

    /// Speaks to `front` as a client that trusts `root`; what is inside gives every byte back, one higher.
    async fn echo(front: &Front, root: CertificateDer<'static>) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server = async {
            let (tcp, _) = listener.accept().await?;
            let (mut inner, copy) = front.open_connection(tcp, Inside::Http).await?;
            let work = async {
                let mut said = [0; 5];
                inner.read_exact(&mut said).await?;
                inner.write_all(&said.map(|b| b + 1)).await?;
                drop(inner);
                io::Result::Ok(())
            };
            tokio::join!(copy, work).1
        };
        let client = async {
            let mut roots = RootCertStore::empty();
            roots.add(root).unwrap();
            let provider = Arc::new(aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from("live.example.org").unwrap();
            let tcp = TcpStream::connect(address).await?;
            let mut tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
            tls.write_all(b"hello").await?;
            let mut heard = Vec::new();
            tls.read_to_end(&mut heard).await?;
            io::Result::Ok(heard)
        };
        let (served, heard) = tokio::join!(server, client);
        let heard = heard?;
        served.map(|()| heard)
    }

    #[tokio::test]
    async fn what_is_inside_gets_a_socket_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (files, root) = certificate(folder.path(), "live.example.org");
        let front = Front::open(&files).unwrap();
        assert_eq!(echo(&front, root).await.unwrap(), b"ifmmp");
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (files, first) = certificate(folder.path(), "live.example.org");
        let front = Front::open(&files).unwrap();
        std::fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\nbroken").unwrap();
        front.look();
        assert_eq!(echo(&front, first.clone()).await.unwrap(), b"ifmmp", "the old one stays");
        let (_, second) = certificate(folder.path(), "live.example.org");
        // Files of the same second and the same length are told apart by nothing.
        *front.seen.lock() = [None, None];
        front.look();
        assert_eq!(echo(&front, second).await.unwrap(), b"ifmmp");
        assert!(echo(&front, first).await.is_err(), "nobody gets the old one any more");
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (good, _) = certificate(folder.path(), "a.example");
        let other = folder.path().join("other");
        std::fs::create_dir(&other).unwrap();
        let (strange, _) = certificate(&other, "b.example");
        let text = folder.path().join("text.pem");
        std::fs::write(&text, "no certificate").unwrap();
        let says = |certificate: &Path, key: &Path, word: &str| {
            let files = Tls { certificate: certificate.to_owned(), key: key.to_owned(), https: None, rtmps: None };
            let error = Front::open(&files).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(word), "{error}");
        };
        says(Path::new("/nowhere/cert.pem"), &good.key, "/nowhere/cert.pem");
        says(&text, &good.key, "text.pem");
        says(&good.certificate, &text, "text.pem");
        says(&good.certificate, &strange.key, "cannot be used with the key");
        says(&good.key, &good.certificate, "key.pem");
    }
}
