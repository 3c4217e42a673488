//! Element-wise operations of BERT, in place on rows of numbers.
//!
//! The functions are plain loops that are compiled for each processor type. Exponential and error function are
//! polynomials, because calls to the system's functions cannot be vectorized.

use crate::lanes::wide;

/// Number of parallel partial sums.
const WIDE: usize = 16;

/// Parameters of a layer norm.
pub struct Norm {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    /// Added to the variance against division by zero.
    pub epsilon: f32,
}

pub fn add_bias(rows: &mut [f32], bias: &[f32]) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(bias.len()) {
                for (value, bias) in row.iter_mut().zip(bias) {
                    *value += bias;
                }
            }
        },
    );
}

/// Adds `bias` to each row and applies the Gaussian error linear unit, `x Φ(x)` (Hendrycks and Gimpel 2016,
/// <https://arxiv.org/abs/1606.08415>).
pub fn bend(rows: &mut [f32], bias: &[f32]) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(bias.len()) {
                for (value, bias) in row.iter_mut().zip(bias) {
                    let x = *value + bias;
                    *value = 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
                }
            }
        },
    );
}

/// Applies softmax to each row of `width` numbers.
pub fn softmax(rows: &mut [f32], width: usize) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(width) {
                let (wide, rest) = row.as_chunks_mut::<WIDE>();
                let mut tops = [f32::NEG_INFINITY; WIDE];
                for values in wide.iter() {
                    for at in 0..WIDE {
                        tops[at] = if tops[at] < values[at] { values[at] } else { tops[at] };
                    }
                }
                let top = tops.iter().chain(rest.iter()).copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sums = [0.0; WIDE];
                for values in wide.iter_mut() {
                    for at in 0..WIDE {
                        values[at] = exp(values[at] - top);
                        sums[at] += values[at];
                    }
                }
                let mut sum: f32 = sums.iter().sum();
                for value in rest.iter_mut() {
                    *value = exp(*value - top);
                    sum += *value;
                }
                let share = 1.0 / sum;
                for value in row.iter_mut() {
                    *value *= share;
                }
            }
        },
    );
}

/// Adds `bias` and the row of `other` to each row, then applies the layer norm (Ba, Kiros and Hinton 2016,
/// <https://arxiv.org/abs/1607.06450>).
pub fn add_and_norm(rows: &mut [f32], bias: &[f32], other: &[f32], norm: &Norm) {
    let width = bias.len();
    wide(
        #[inline(always)]
        || {
            for (row, other) in rows.chunks_exact_mut(width).zip(other.chunks_exact(width)) {
                for ((value, bias), other) in row.iter_mut().zip(bias).zip(other) {
                    *value += bias + other;
                }
                norm_row(row, norm);
            }
        },
    );
}

/// Applies the layer norm to each row.
pub fn norm(rows: &mut [f32], norm: &Norm) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(norm.scale.len()) {
                norm_row(row, norm);
            }
        },
    );
}

#[inline(always)]
fn norm_row(row: &mut [f32], norm: &Norm) {
    let share = 1.0 / row.len() as f32;
    let mean = sum(
        row,
        #[inline(always)]
        |value| value,
    ) * share;
    let spread = sum(
        row,
        #[inline(always)]
        |value| (value - mean) * (value - mean),
    ) * share;
    let factor = 1.0 / (spread + norm.epsilon).sqrt();
    for ((value, scale), shift) in row.iter_mut().zip(&norm.scale).zip(&norm.shift) {
        *value = (*value - mean) * factor * scale + shift;
    }
}

#[inline(always)]
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (wide, rest) = row.as_chunks::<WIDE>();
    let mut sums = [0.0; WIDE];
    for values in wide {
        for at in 0..WIDE {
            sums[at] += of(values[at]);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|value| of(*value)).sum::<f32>()
}

/// Exponential function: `2^n` by exponent bits, times a polynomial for the rest, as in `expf.c` of Cephes
/// (<https://www.netlib.org/cephes/>). Relative error below 2e-7.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding this to a small number leaves the nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that the difference is exact.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let power =
        f32::from_bits((shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
    (p * r * r + r + 1.0) * power
}

/// Error function by formula 7.1.26 of Abramowitz and Stegun; the error is below 2e-7.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152_1;
    p = p * t + 1.421_413_8;
    p = p * t - 0.284_496_72;
    p = p * t + 0.254_829_6;
    (1.0 - p * t * exp(-size * size)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::{Norm, add_and_norm, bend, erf, exp, softmax};

    #[test]
    fn the_exponential_is_that_of_the_system() {
        for step in -8_700..=8_800 {
            let x = step as f32 / 100.0;
            let (ours, theirs) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / theirs - 1.0).abs() < 3e-7, "{x}: {ours} {theirs}");
        }
        assert!(exp(-1e30) < 1e-37);
    }

    #[test]
    fn the_error_function_is_its_series() {
        for step in -300..=300 {
            let x = f64::from(step) / 100.0;
            let (mut term, mut sum) = (x, x);
            for n in 1..60 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            let wanted = sum * std::f64::consts::FRAC_2_SQRT_PI;
            assert!((f64::from(erf(x as f32)) - wanted).abs() < 4e-7, "{x}");
        }
        assert_eq!(
            [erf(9.0), erf(-9.0), erf(0.0).abs()].map(|y| (y * 1e6).round()),
            [1e6, -1e6, 0.0]
        );
    }

    #[test]
    fn rows_of_any_width_are_softened_bent_and_normed() {
        for width in [1, 15, 16, 17, 40] {
            let mut rows: Vec<f32> = (0..2 * width).map(|at| (at % 7) as f32).collect();
            softmax(&mut rows, width);
            assert!(rows.chunks(width).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
            let (bias, ones) = (vec![0.5; width], vec![1.0; width]);
            let before = rows.clone();
            bend(&mut rows, &bias);
            assert!(rows.iter().zip(&before).all(|(after, before)| *after < before + 0.5));
            let norm = Norm { scale: ones, shift: vec![3.0; width], epsilon: 1e-9 };
            add_and_norm(&mut rows, &bias, &before, &norm);
            assert!(
                rows.chunks(width)
                    .all(|row| (row.iter().sum::<f32>() / width as f32 - 3.0).abs() < 1e-3)
            );
        }
    }
}
