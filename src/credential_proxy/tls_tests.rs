//! Tests of certificate validation and names.

#![expect(clippy::print_stderr, reason = "a test that cannot run here says why")]

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::authority::Authority;
use crate::error::StandinError;
use crate::report::Report;
use crate::table::NewStandin;
use crate::tests::{Bed, HOST, Site, VALUE, all, get, ok, open, secret};
use crate::trust::{self, Trust};

const FAR: i64 = 4_000_000_000;

fn bed() -> Bed {
    Bed::new(vec![secret("KEY", VALUE, &[])])
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

#[tokio::test]
async fn a_program_that_asks_for_another_name_is_not_served() {
    let bed = bed();
    let site = bed.site(|_| ok("", "")).await;
    for name in ["evil.test", "x.api.site.test", "127.0.0.1"] {
        let report = Report::default();
        let (client, serving) = bed.raw(site.address, &report);
        let (ended, shaken) = tokio::join!(serving, bed.sealed(client, name));
        assert_eq!(ended, Err(StandinError::OtherName { host: HOST.to_owned() }));
        let message = shaken.expect_err("no connection").to_string();
        assert!(
            message.contains("UnrecognisedName") || message.contains("UnrecognizedName"),
            "{message}"
        );
    }
    assert!(site.heads().is_empty());
}

#[tokio::test]
async fn a_program_that_does_not_trust_the_authority_is_told_apart() {
    let (bed, other) = (bed(), bed());
    let site = bed.site(|_| ok("", "")).await;
    let report = Report::default();
    let (client, serving) = bed.raw(site.address, &report);
    let (ended, shaken) = tokio::join!(serving, other.sealed(client, HOST));
    assert!(matches!(ended, Err(StandinError::Handshake { .. })) && shaken.is_err());
    // A client that does not speak TLS is rejected too.
    let (mut client, serving) = bed.raw(site.address, &report);
    let asking = async move {
        client.write_all(get("/", "").as_bytes()).await.unwrap();
        all(&mut client).await
    };
    let (ended, _) = tokio::join!(serving, asking);
    assert!(matches!(ended, Err(StandinError::Handshake { .. })));
    assert!(site.heads().is_empty());
}

#[tokio::test]
async fn only_http_1_is_agreed_on() {
    let bed = bed();
    let site = bed.site(|_| ok("", "")).await;
    for (protocols, agreed) in [(vec!["h2"], None), (vec!["h2", "http/1.1"], Some("http/1.1"))] {
        let report = Report::default();
        let (client, serving) = bed.raw(site.address, &report);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(bed.authority.pem().as_bytes()).unwrap()).unwrap();
        let now = Arc::new(trust::Now(Arc::clone(&bed.clock)));
        let mut config = ClientConfig::builder_with_details(trust::provider(), now)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        let shaking = async move {
            let mut client =
                connector.connect(ServerName::try_from(HOST).unwrap(), client).await.ok()?;
            client.shutdown().await.unwrap();
            client
                .get_ref()
                .1
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned())
        };
        let (_, found) = tokio::join!(serving, shaking);
        assert_eq!(found.as_deref(), agreed);
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_host_that_cannot_show_who_it_is() {
    let (mut bed, other) = (bed(), bed());
    let key = bed.token("KEY");
    let now = bed.clock.now_ms() / 1000;
    let cases: [(TlsAcceptor, &str); 3] = [
        (other.server(HOST, at(FAR)), "BadSignature"),
        (bed.server("other.test", at(FAR)), "not valid for"),
        (bed.server(HOST, at(now - 60)), "expired"),
    ];
    for (acceptor, why) in cases {
        let site = open(Some(acceptor), Arc::new(|_| ok("", ""))).await;
        let heard = bed.ask(&site, &get("/", &format!("X: {key}\r\n"))).await;
        let Err(StandinError::Certificate { detail, .. }) = &heard.ended else {
            panic!("{heard:?}")
        };
        assert!(detail.contains(why), "{why}: {detail}");
        assert!(
            heard.status() == "502"
                && heard.body().contains("the certificate of api.site.test isn't valid")
        );
        assert!(site.heads().is_empty() && heard.uses.is_empty());
    }
    // A host that does not speak TLS, and an absent one.
    bed.limits.program = Duration::from_secs(2);
    let silent = open(None, Arc::new(|_| ok("", ""))).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let absent = Site { address: listener.local_addr().unwrap(), seen: Arc::default() };
    drop(listener);
    for site in [silent, absent] {
        let heard = bed.ask(&site, &get("/", &format!("X: {key}\r\n"))).await;
        assert!(matches!(heard.ended, Err(StandinError::Away { .. })), "{heard:?}");
        assert!(heard.status() == "502" && heard.uses.is_empty());
    }
}

#[tokio::test]
async fn a_host_may_be_an_address() {
    let mut bed = Bed::new(vec![NewStandin {
        hosts: vec!["127.0.0.1".to_owned()],
        ..secret("KEY", VALUE, &[])
    }]);
    bed.host = "127.0.0.1";
    let site = bed.site(|_| ok("", "")).await;
    let request = get("/", &format!("X: {}\r\n", bed.token("KEY"))).replace(HOST, "127.0.0.1");
    let heard = bed.ask(&site, &request).await;
    assert!(heard.status() == "200" && heard.ended == Ok(()), "{heard:?}");
}

#[tokio::test]
async fn certificates_of_hosts_are_kept_and_made_anew_in_time() {
    let bed = bed();
    let first = bed.authority.leaf(HOST).unwrap();
    let is_reused = |bed: &Bed| Arc::ptr_eq(&first, &bed.authority.leaf(HOST).unwrap());
    bed.manual.advance_ms(23 * 3_600_000);
    assert!(is_reused(&bed));
    bed.manual.advance_ms(2 * 3_600_000);
    assert!(!is_reused(&bed));
    // Long after its first certificate has expired.
    bed.manual.advance_ms(90 * 24 * 3_600_000);
    let site = bed.site(|_| ok("", "")).await;
    assert_eq!(bed.ask(&site, &get("/", "")).await.status(), "200");
    for number in 0..300 {
        bed.authority.leaf(&format!("h{number}.test")).unwrap();
    }
    assert_eq!(format!("{:?}", bed.authority), "Authority { leaves: 256, .. }");
    let long = format!("{}.test", ["a".repeat(60).as_str(), "b"].join("."));
    assert!(bed.authority.leaf(&long).is_ok());
}

#[test]
fn the_file_of_roots_holds_those_of_the_system_too() {
    let clock = bed().clock;
    let authority = Authority::new(Arc::clone(&clock)).unwrap();
    assert!(Trust::only("", Arc::clone(&clock)).is_err());
    assert!(Trust::only(authority.pem(), Arc::clone(&clock)).is_ok());
    let Ok(bundle) = authority.bundle() else {
        eprintln!("skipped: this machine has no roots");
        return;
    };
    assert!(bundle.starts_with(authority.pem()));
    let count = CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap).count();
    assert_eq!(count, trust::system_roots().unwrap().len() + 1);
}
