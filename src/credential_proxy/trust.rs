//! Validates the identity of hosts by certificates under the system's roots.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::Clock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::StandinError;
use super::table::normal;
use super::wire::Wire;

/// Protocol within TLS (ALPN).
pub(crate) const PROTOCOL: &[u8] = b"http/1.1";
/// Line length of a PEM file.
const PEM_LINE: usize = 64;

/// Roots for validating host certificates.
#[derive(Clone)]
pub struct Trust {
    connector: TlsConnector,
}

impl Trust {
    /// The system's roots.
    ///
    /// # Errors
    /// If the system has none.
    pub fn system(clock: Arc<dyn Clock>) -> Result<Trust, StandinError> {
        Trust::of(system_roots()?, clock)
    }

    /// Only the roots in this PEM text.
    pub fn only(pem: &str, clock: Arc<dyn Clock>) -> Result<Trust, StandinError> {
        let roots = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        Trust::of(roots.map_err(setup)?, clock)
    }

    fn of(
        certificates: Vec<CertificateDer<'static>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Trust, StandinError> {
        let mut roots = RootCertStore::empty();
        // Some system roots are too old to be parsed. The others are sufficient.
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(setup("there is no root"));
        }
        let mut config = ClientConfig::builder_with_details(provider(), Arc::new(Now(clock)))
            .with_safe_default_protocol_versions()
            .map_err(setup)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Trust { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Establishes TLS to a host and validates its certificate.
    pub(crate) async fn secure(
        &self,
        host: &str,
        wire: Wire,
    ) -> Result<TlsStream<Wire>, StandinError> {
        let away = |detail: String| StandinError::Away { host: host.to_owned(), detail };
        let name = ServerName::try_from(normal(host)).map_err(|error| away(error.to_string()))?;
        self.connector.connect(name, wire).await.map_err(|error| match cause(&error) {
            Some(rustls::Error::InvalidCertificate(wrong)) => {
                StandinError::Certificate { host: host.to_owned(), detail: wrong.to_string() }
            }
            _ => away(error.to_string()),
        })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

/// Time source for the TLS library.
pub(crate) struct Now(pub(crate) Arc<dyn Clock>);

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        let now = u64::try_from(self.0.now_ms()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(now)))
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Now")
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The system's roots.
pub(crate) fn system_roots() -> Result<Vec<CertificateDer<'static>>, StandinError> {
    let found = rustls_native_certs::load_native_certs();
    match found.errors.first() {
        Some(error) if found.certs.is_empty() => Err(setup(error)),
        _ => Ok(found.certs),
    }
}

/// A certificate in PEM format.
pub(crate) fn pem(der: &[u8]) -> String {
    let coded = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for from in (0..coded.len()).step_by(PEM_LINE) {
        pem.push_str(&coded[from..coded.len().min(from + PEM_LINE)]);
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn setup(error: impl fmt::Display) -> StandinError {
    StandinError::Setup { detail: error.to_string() }
}
