//! Certificates accepted from a primary: those of the system's roots, or of given roots.
//!
//! Confidentiality does not depend on TLS: messages are sealed for the expected primary, whoever terminates TLS. TLS
//! authenticates addresses, and lets a host through proxies that require it.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::LinkError;

/// Roots for checking the certificate of a primary.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl Trust {
    /// The system's roots.
    ///
    /// # Errors
    /// If there are none.
    pub fn system() -> Result<Self, LinkError> {
        let found = rustls_native_certs::load_native_certs();
        match found.errors.first() {
            Some(error) if found.certs.is_empty() => Err(no_roots(error)),
            _ => Self::of(found.certs),
        }
    }

    /// Only the roots in this PEM text, for a primary with its own authority.
    pub fn only(pem: &str) -> Result<Self, LinkError> {
        let roots = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        Self::of(roots.map_err(no_roots)?)
    }

    /// No roots: for an address without TLS, where no certificate is checked.
    ///
    /// # Errors
    /// If the library cannot be initialised.
    pub fn nobody() -> Result<Self, LinkError> {
        Self::under(RootCertStore::empty())
    }

    pub(crate) fn of(certificates: Vec<CertificateDer<'static>>) -> Result<Self, LinkError> {
        let mut roots = RootCertStore::empty();
        // Some system roots are malformed; the others are enough.
        if roots.add_parsable_certificates(certificates).0 == 0 {
            return Err(no_roots("there is none"));
        }
        Self::under(roots)
    }

    fn under(roots: RootCertStore) -> Result<Self, LinkError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(no_roots)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A WebSocket starts as HTTP/1.1; a proxy with a choice would negotiate HTTP/2.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(crate) async fn secure(
        &self,
        host: &str,
        wire: TcpStream,
    ) -> Result<TlsStream<TcpStream>, LinkError> {
        let detail = |detail: String| LinkError::Unreachable { host: host.to_owned(), detail };
        let name = ServerName::try_from(host.to_owned()).map_err(|err| detail(err.to_string()))?;
        self.0.connect(name, wire).await.map_err(|err| match cause(&err) {
            Some(rustls::Error::InvalidCertificate(wrong)) => {
                LinkError::Certificate { host: host.to_owned(), detail: wrong.to_string() }
            }
            _ => detail(err.to_string()),
        })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn no_roots(error: impl fmt::Display) -> LinkError {
    LinkError::Roots { detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_roots_is_told() {
        assert!(matches!(Trust::only("no certificate"), Err(LinkError::Roots { .. })));
    }
}
