//! The certificate authority that programs trust: created at start, in memory only. It issues certificates for hosts
//! with a secret, to programs on this machine.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kernel::Clock;
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use time::OffsetDateTime;

use super::error::StandinError;
use super::token;
use super::trust::{self, Now};

/// Maximum number of cached host certificates.
const MAX_LEAVES: usize = 256;
/// Lifetime of a host certificate. It is renewed after half of it.
const LEAF_LASTS: Duration = Duration::from_hours(48);
/// Start of validity before issue, for programs whose clocks are behind.
const BEFORE: Duration = Duration::from_hours(24);
/// Lifetime of the authority: longer than any process.
const LASTS: Duration = Duration::from_hours(10 * 365 * 24);
/// Maximum length of a common name.
const MAX_COMMON_NAME: usize = 64;

/// A certificate authority. Its key never leaves the memory of this process.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    key: KeyPair,
    pem: String,
    leaves: Mutex<HashMap<String, Leaf>>,
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
}

struct Leaf {
    config: Arc<ServerConfig>,
    made_ms: i64,
}

impl Authority {
    /// Creates an authority.
    ///
    /// # Errors
    /// If the library cannot create a key or certificate.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Authority, StandinError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("HQ stand-ins");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        last(&mut params, clock.as_ref(), LASTS)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(setup)?;
        let pem = trust::pem(params.self_signed(&key).map_err(setup)?.der());
        Ok(Authority {
            issuer: Issuer::new(params, key),
            key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(setup)?,
            pem,
            leaves: Mutex::default(),
            clock,
            provider: trust::provider(),
        })
    }

    /// Its certificate, for a file that programs read in addition to the system's roots.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate and the system's roots, for a file that programs read instead of the system's roots.
    ///
    /// # Errors
    /// If the system has no roots.
    pub fn bundle(&self) -> Result<String, StandinError> {
        let roots = trust::system_roots()?;
        Ok(roots.iter().fold(self.pem.clone(), |all, root| all + &trust::pem(root)))
    }

    /// Server configuration for impersonating this host to programs that trust the authority.
    pub(crate) fn leaf(&self, host: &str) -> Result<Arc<ServerConfig>, StandinError> {
        let now = self.clock.now_ms();
        let half = i64::try_from(LEAF_LASTS.as_millis() / 2).unwrap_or(i64::MAX);
        let is_fresh = |leaf: &Leaf| (0..half).contains(&(now - leaf.made_ms));
        let mut leaves = self.leaves.lock();
        if let Some(leaf) = leaves.get(host).filter(|leaf| is_fresh(leaf)) {
            return Ok(Arc::clone(&leaf.config));
        }
        let config = Arc::new(self.make(host)?);
        if MAX_LEAVES <= leaves.len() {
            leaves.retain(|_, leaf| is_fresh(leaf));
            let oldest = leaves.iter().min_by_key(|(_, leaf)| leaf.made_ms);
            if let Some(oldest) =
                oldest.map(|(host, _)| host.clone()).filter(|_| MAX_LEAVES <= leaves.len())
            {
                leaves.remove(&oldest);
            }
        }
        leaves.insert(host.to_owned(), Leaf { config: Arc::clone(&config), made_ms: now });
        Ok(config)
    }

    fn make(&self, host: &str) -> Result<ServerConfig, StandinError> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(setup)?;
        params.distinguished_name =
            named(if host.len() <= MAX_COMMON_NAME { host } else { "HQ stand-ins" });
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        last(&mut params, self.clock.as_ref(), LEAF_LASTS)?;
        let leaf = params.signed_by(&self.key, &self.issuer).map_err(setup)?;
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).map_err(setup)?;
        let now = Arc::new(Now(Arc::clone(&self.clock)));
        let mut config = ServerConfig::builder_with_details(Arc::clone(&self.provider), now)
            .with_safe_default_protocol_versions()
            .map_err(setup)?
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(leaf)], key)
            .map_err(setup)?;
        config.alpn_protocols = vec![trust::PROTOCOL.to_vec()];
        // A connection lasts as long as its tunnel, and each tunnel has a new connection, so sessions are never
        // resumed.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("leaves", &self.leaves.lock().len())
            .finish_non_exhaustive()
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut whole = DistinguishedName::new();
    whole.push(DnType::CommonName, name);
    whole
}

/// Sets the validity period and a random serial number.
fn last(
    params: &mut CertificateParams,
    clock: &dyn Clock,
    time: Duration,
) -> Result<(), StandinError> {
    let now =
        OffsetDateTime::from_unix_timestamp(clock.now_ms().div_euclid(1000)).map_err(setup)?;
    (params.not_before, params.not_after) = (now - BEFORE, now + time);
    let mut number = [0; 16];
    token::fill(&mut number);
    // Serial numbers are positive and have no leading zeros.
    number[0] = number[0] & 0x3f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&number));
    Ok(())
}

fn setup(error: impl fmt::Display) -> StandinError {
    StandinError::Setup { detail: error.to_string() }
}
