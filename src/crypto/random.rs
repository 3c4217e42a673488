//! Random bytes from the operating system.

use zeroize::Zeroizing;

/// `N` random bytes, wiped on drop.
pub(super) fn bytes<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0u8; N]);
    getrandom::fill(out.as_mut_slice()).expect("invariant: the system gives random bytes");
    out
}
