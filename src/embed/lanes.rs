//! Loops over numbers, in the widest registers that the processor has.
//!
//! `pulp` compiles a loop once for each kind of processor and picks one at run time. The loops are plain: they keep as
//! many sums as a register has places, so that the compiler may use all of them at once.

use pulp::{Arch, Simd, WithSimd};

/// How many sums are kept side by side.
const WIDE: usize = 32;

/// Does what `work` does, compiled for this processor. Only what is inlined into it is, so the closure and all that it
/// calls carry `#[inline(always)]`.
#[inline(always)]
pub fn wide<T>(work: impl FnMut() -> T) -> T {
    Arch::new().dispatch(Work(work))
}

/// pulp takes closures as well, but calls one that borrows through a function between, which is compiled for none.
struct Work<F>(F);

impl<T, F: FnMut() -> T> WithSimd for Work<F> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> T {
        (self.0)()
    }
}

/// The scalar product of two rows of the same length.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    wide(
        #[inline(always)]
        || {
            let (wide_a, rest_a) = a.as_chunks::<WIDE>();
            let (wide_b, rest_b) = b.as_chunks::<WIDE>();
            let mut sums = [0.0; WIDE];
            for (a, b) in wide_a.iter().zip(wide_b) {
                for at in 0..WIDE {
                    sums[at] += a[at] * b[at];
                }
            }
            let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
            sums.iter().sum::<f32>() + rest
        },
    )
}

/// The scalar products of `query` with each row of `rows`, which lie one after the other.
pub fn scan(query: &[i8], rows: &[i8], products: &mut Vec<i32>) {
    products.clear();
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(query.len().max(1)) {
                let (wide_a, rest_a) = query.as_chunks::<WIDE>();
                let (wide_b, rest_b) = row.as_chunks::<WIDE>();
                let mut sum = 0;
                for (a, b) in wide_a.iter().zip(wide_b) {
                    for at in 0..WIDE {
                        sum += i32::from(a[at]) * i32::from(b[at]);
                    }
                }
                for (a, b) in rest_a.iter().zip(rest_b) {
                    sum += i32::from(*a) * i32::from(*b);
                }
                products.push(sum);
            }
        },
    );
}
