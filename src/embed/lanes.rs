//! Vectorized loops over numbers.
//!
//! `pulp` compiles a loop for each processor type and selects one at run time. The loops keep as many partial sums as a
//! register has lanes, so that the compiler can vectorize them.

use pulp::{Arch, Simd, WithSimd};

/// Number of parallel partial sums.
const WIDE: usize = 32;

/// Runs `work`, compiled for this processor. This applies to inlined code only, so the closure and everything that it
/// calls need `#[inline(always)]`.
#[inline(always)]
pub fn wide<T>(work: impl FnMut() -> T) -> T {
    Arch::new().dispatch(Work(work))
}

/// A closure that borrows would be called through a function that is not compiled for the processor.
struct Work<F>(F);

impl<T, F: FnMut() -> T> WithSimd for Work<F> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> T {
        (self.0)()
    }
}

/// Scalar product of two rows of equal length.
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

/// Scalar products of `query` with each of the concatenated `rows`.
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
