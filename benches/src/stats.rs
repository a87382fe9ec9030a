//! Medians, percentiles, and the units of memory.

pub const KB_BYTES: f64 = 1024.0;
pub const MB_BYTES: f64 = 1024.0 * 1024.0;

/// The middle of the values, or the mean of the two in the middle; NaN when there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

/// Durations, of which percentiles are wanted.
pub struct Durations {
    sorted_nanos: Vec<u64>,
}

impl Durations {
    pub fn new(mut nanos: Vec<u64>) -> Durations {
        nanos.sort_unstable();
        Durations { sorted_nanos: nanos }
    }

    /// The smallest duration that `share` of them do not exceed, in milliseconds; 0 when there are
    /// none.
    pub fn millis_at(&self, share: f64) -> f64 {
        let rank = (self.sorted_nanos.len() as f64 * share).ceil() as usize;
        let nanos = self.sorted_nanos.get(rank.saturating_sub(1)).copied().unwrap_or(0);
        nanos as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let durations = Durations::new((1..=100).rev().map(|millis| millis * 1_000_000).collect());
        assert_eq!(durations.millis_at(0.5), 50.0);
        assert_eq!(durations.millis_at(0.99), 99.0);
    }
}
