//! Trusted proxies. The client address is the right-most forwarded address that is not a trusted proxy: the client
//! itself may have written everything to the left of it.

use std::net::IpAddr;
use std::str::FromStr;

/// Networks of trusted proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

/// An address prefix (CIDR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// Error: the text is not a list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNetwork;

impl FromStr for Proxies {
    type Err = NoNetwork;
    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let all = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        all.map(Network::parse).collect::<Option<Vec<_>>>().map(Self).ok_or(NoNetwork)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn high_bits(address: IpAddr, bits: u8) -> u128 {
    let (value, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32_u32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    value.checked_shr(width - u32::from(bits).min(width)).unwrap_or_default()
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = bits.map_or(Some(width(address)), |bits| bits.parse().ok())?;
        (bits <= width(address)).then_some(Self { address, bits })
    }

    fn has(&self, address: IpAddr) -> bool {
        width(self.address) == width(address)
            && high_bits(self.address, self.bits) == high_bits(address, self.bits)
    }
}

impl Proxies {
    /// Whether an address belongs to a trusted proxy.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.has(address.to_canonical()))
    }

    /// Client address of a request from `peer`, given the `X-Forwarded-For` and `Forwarded` (RFC 7239) header lines
    /// in order. A trusted proxy writes only one of the two headers. If both are present, the client wrote one, and
    /// both are ignored.
    #[must_use]
    pub fn client(&self, peer: IpAddr, listed: &[&str], forwarded: &[&str]) -> IpAddr {
        let listed = listed.iter().flat_map(|line| line.split(',')).map(Some);
        let named = forwarded.iter().flat_map(|line| line.split(',')).map(named);
        let hops: Vec<Option<&str>> = match (listed.clone().next(), forwarded.first()) {
            (Some(_), Some(_)) => return peer,
            (Some(_), None) => listed.collect(),
            (None, _) => named.collect(),
        };
        let mut at = peer;
        for hop in hops.into_iter().rev() {
            if !self.has(at) {
                break;
            }
            // An invalid hop hides the client. The proxy's address is used.
            let Some(next) = hop.and_then(address) else { break };
            at = next;
        }
        at
    }
}

/// The `for` parameter of a `Forwarded` element.
fn named(element: &str) -> Option<&str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, value)| value)
}

/// Parses an address with optional quotes and port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_right_most_address_that_is_no_trusted_proxy_counts() {
        let proxies: Proxies = "10.0.0.0/8, 127.0.0.1, fd00::/8".parse().expect("networks");
        let client = |peer: &str, listed: &[&str], forwarded: &[&str]| {
            proxies.client(at(peer), listed, forwarded).to_string()
        };
        assert_eq!(client("127.0.0.1", &["203.0.113.9"], &[]), "203.0.113.9");
        assert_eq!(client("::ffff:10.1.2.3", &["203.0.113.9"], &[]), "203.0.113.9");
        // The client wrote the addresses to the left.
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"], &[]), "203.0.113.9");
        assert_eq!(
            client("127.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.2"], &[]),
            "203.0.113.9"
        );
        // Other peers are not trusted, and two kinds of headers are ignored.
        assert_eq!(client("203.0.113.1", &["1.1.1.1"], &[]), "203.0.113.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1"], &["for=2.2.2.2"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1, unknown"], &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"], &[]), "10.0.0.2");
        let headers = ["for=1.1.1.1, For=\"[2001:db8::7]:4711\";proto=https, for=10.0.0.2"];
        assert_eq!(client("fd00::1", &[], &headers), "2001:db8::7");
        assert_eq!(client("127.0.0.1", &[], &["for=203.0.113.9:80;by=10.0.0.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &[], &["for=_hidden"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[], &[]), "127.0.0.1");
        let none = Proxies::default();
        assert_eq!(none.client(at("127.0.0.1"), &["1.1.1.1"], &[]), at("127.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for good in ["", "0.0.0.0/0", "::/0", "10.0.0.1", "10.0.0.1/32, ::1/128"] {
            assert!(good.parse::<Proxies>().is_ok(), "{good}");
        }
        for bad in ["a", "10.0.0.1/33", "::1/129", "10.0.0.1/x", "10.0.0.1/", "10.0.0"] {
            assert!(bad.parse::<Proxies>().is_err(), "{bad}");
        }
        let all: Proxies = "0.0.0.0/0".parse().expect("a network");
        assert!(all.has(at("203.0.113.9")) && !all.has(at("::1")));
    }
}
