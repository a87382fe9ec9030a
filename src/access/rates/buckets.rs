//! How much each client has taken lately: a bucket for each that fills when something is taken and drains evenly.
//!
//! A bucket that has drained is the same as none, so only such buckets are forgotten. A client that fills the tables with
//! other addresses cannot make the server forget how much it has taken, nor how much another has.
//!
//! The tables are bounded. A client's table is chosen by its large network (a /16 of IPv4, a /32 of IPv6), so that whoever
//! has a network full of addresses fills one table. Where a client's table is full of buckets that have not drained, the
//! client is counted together with its large network, until there is room.

use super::Key;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The tables, and what each has room for: 65,536 buckets in all, some 2 MB.
const TABLES: usize = 64;
const TABLE_BUCKETS: usize = 1_024;

/// Buckets of large networks that each table has beside these.
const NETWORKS: usize = 64;

/// A table with fewer buckets is not looked through for those that have drained.
const FEW: usize = 32;

/// A bucket of the same size for each client. All times are nanoseconds on a clock that the caller has.
pub(super) struct Buckets {
    /// How long a full bucket takes to drain.
    full_nanos: u64,
    tables: Vec<Mutex<Table>>,
    hasher: RandomState,
}

struct Table {
    /// When each bucket will have drained, by a hash of its key. Nobody outside knows the seed.
    drained_at: HashMap<u64, u64>,
    /// The same for large networks. Several may share one.
    networks: [u64; NETWORKS],
    /// With so many buckets, those that have drained are looked for.
    look_at: usize,
    /// Before this moment none of them will have.
    look_not_before: u64,
}

impl Buckets {
    /// Buckets that take `full` to drain.
    pub(super) fn new(full: Duration) -> Buckets {
        let table = || {
            Mutex::new(Table {
                drained_at: HashMap::new(),
                networks: [0; NETWORKS],
                look_at: FEW,
                look_not_before: 0,
            })
        };
        Buckets {
            full_nanos: nanos(full),
            tables: (0..TABLES).map(|_| table()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Pours in what takes so long to drain; what is more than a whole bucket counts as one. If it does not fit, nothing is
    /// poured, and the error says in how long it will fit.
    pub(super) fn pour(&self, key: &Key, amount: Duration, now: Duration) -> Result<(), Duration> {
        let (amount, now) = (nanos(amount).min(self.full_nanos), nanos(now));
        let network = self.hasher.hash_one(key.network()) as usize;
        let mut table = self.tables[network % TABLES].lock();
        let drained_at = table.bucket(self.hasher.hash_one(key), network / TABLES, now);
        let level = drained_at.saturating_sub(now).saturating_add(amount);
        if level > self.full_nanos {
            return Err(Duration::from_nanos(level - self.full_nanos));
        }
        *drained_at = now.saturating_add(level);
        Ok(())
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.tables.iter().map(|table| table.lock().drained_at.len()).sum()
    }
}

impl Table {
    fn bucket(&mut self, hash: u64, network: usize, now: u64) -> &mut u64 {
        if !self.drained_at.contains_key(&hash) {
            if self.drained_at.len() >= self.look_at && now >= self.look_not_before {
                self.forget_drained(now);
            }
            if self.drained_at.len() >= TABLE_BUCKETS {
                return &mut self.networks[network % NETWORKS];
            }
        }
        self.drained_at.entry(hash).or_insert_with(|| {
            // Nobody knows yet when this one will.
            self.look_not_before = 0;
            0
        })
    }

    fn forget_drained(&mut self, now: u64) {
        self.drained_at.retain(|_, drained_at| *drained_at > now);
        // Twice as many may come before the next look, so that looking costs little for each.
        self.look_at = (2 * self.drained_at.len()).clamp(FEW, TABLE_BUCKETS);
        self.drained_at.shrink_to(self.look_at);
        // One that more is poured into drains later still.
        self.look_not_before = self.drained_at.values().copied().min().unwrap_or(0);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(number: u32) -> Key {
        Key::address(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn a_bucket_takes_a_burst_and_then_what_has_drained() {
        let buckets = Buckets::new(3 * SECOND);
        let pour = |key, at| buckets.pour(&address(key), SECOND, at);
        let start = 100 * SECOND;
        assert_eq!([pour(1, start), pour(1, start), pour(1, start)], [Ok(()); 3]);
        assert_eq!(pour(1, start), Err(SECOND));
        assert_eq!(pour(1, start + SECOND / 4), Err(3 * SECOND / 4));
        assert_eq!(pour(2, start), Ok(()), "another client has a bucket of its own");
        assert_eq!(pour(1, start + SECOND), Ok(()));
        assert_eq!(pour(1, start + SECOND), Err(SECOND));
    }

    #[test]
    fn what_is_larger_than_a_bucket_counts_as_a_whole_one() {
        let buckets = Buckets::new(3 * SECOND);
        assert_eq!(buckets.pour(&address(1), 100 * SECOND, SECOND), Ok(()));
        assert_eq!(buckets.pour(&address(1), 100 * SECOND, 2 * SECOND), Err(2 * SECOND));
        assert_eq!(buckets.pour(&address(1), 100 * SECOND, 4 * SECOND), Ok(()));
    }

    #[test]
    fn a_million_addresses_fill_no_more_than_the_tables_and_nobody_is_forgotten_who_has_taken() {
        let buckets = Buckets::new(3 * SECOND);
        let victim = address(u32::from_be_bytes([192, 0, 2, 1]));
        assert_eq!(buckets.pour(&victim, 3 * SECOND, SECOND), Ok(()));
        for number in 0..1_000_000_u32 {
            // Spread over all networks, so that all tables fill.
            let _ = buckets.pour(&address(number.wrapping_mul(2_654_435_761)), SECOND, SECOND);
        }
        assert!(buckets.len() <= TABLES * TABLE_BUCKETS, "{}", buckets.len());
        assert_eq!(buckets.pour(&victim, SECOND, SECOND), Err(SECOND));
        // Once they have drained they make room.
        for number in 0..1_000_u32 {
            assert_eq!(buckets.pour(&address(number << 16), SECOND, 10 * SECOND), Ok(()));
        }
        assert!(buckets.len() < TABLES * TABLE_BUCKETS / 2, "{}", buckets.len());
    }

    #[test]
    fn a_network_full_of_addresses_is_counted_together_and_leaves_room_for_others() {
        let buckets = Buckets::new(SECOND);
        let address = |network: u16, host: u64| {
            let bits = u128::from(0x2001_0000 + u32::from(network)) << 96 | u128::from(host) << 64;
            Key::address(std::net::Ipv6Addr::from_bits(bits).into())
        };
        let own =
            (0..100_000).filter(|host| buckets.pour(&address(1, *host), SECOND, SECOND).is_ok()).count();
        // Its table, and one bucket for all the rest.
        assert!(own <= TABLE_BUCKETS + 1, "{own}");
        // Others are in other tables, or share this one's room for networks, of which one is full.
        let others =
            (2..202).filter(|network| buckets.pour(&address(*network, 0), SECOND, SECOND).is_ok()).count();
        assert!(others > 190, "{others}");
    }

    proptest! {
        #[test]
        fn in_any_time_no_more_flows_in_than_a_bucket_and_what_drains(
            pours in proptest::collection::vec((0_u64..3_000, 1_u64..2_000), 1..100)
        ) {
            let full = Duration::from_millis(2_000);
            let buckets = Buckets::new(full);
            let mut now = Duration::from_secs(5);
            let began = now;
            let mut poured = Duration::ZERO;
            for (pause, amount) in pours {
                let amount = Duration::from_millis(amount);
                now += Duration::from_millis(pause);
                match buckets.pour(&address(1), amount, now) {
                    Ok(()) => poured += amount,
                    Err(wait) => {
                        prop_assert!(buckets.pour(&address(1), amount, now + wait).is_ok());
                        now += wait;
                        poured += amount;
                    }
                }
                prop_assert!(poured <= full + (now - began));
            }
        }
    }
}
