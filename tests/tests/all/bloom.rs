//! The filters that swarms are counted with (BEP 33): its vector, set algebra, and whether the
//! estimate is as good as it says.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chacha20::ChaCha8Rng;
use proptest::collection::vec;
use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::bloom::Bloom;

/// BEP 33, "Test Vectors".
const BEP_33: &str = "
    F6C3F5EA A07FFD91 BDE89F77 7F26FB2B FF37BDB8 FB2BBAA2 FD3DDDE7 BACFFF75 EE7CCBAE
    FE5EEDB1 FBFAFF67 F6ABFF5E 43DDBCA3 FD9B9FFD F4FFD3E9 DFF12D1B DF59DB53 DBE9FA5B
    7FF3B8FD FCDE1AFB 8BEDD7BE 2F3EE71E BBBFE93B CDEEFE14 8246C2BC 5DBFF7E7 EFDCF24F
    D8DC7ADF FD8FFFDF DDFFF7A4 BBEEDF5C B95CE81F C7FCFF1F F4FFFFDF E5F7FDCB B7FD79B3
    FA1FC77B FE07FFF9 05B7B7FF C7FEFEFF E0B8370B B0CD3F5B 7F2BD93F EB4386CF DD6F7FD5
    BFAF2E9E BFFFFEEC D67ADBF7 C67F17EF D5D75EBA 6FFEBA7F FF47A91E B1BFBB53 E8ABFB57
    62ABE8FF 237279BF EFBFEEF5 FFC5FEBF DFE5ADFF ADFEE1FB 737FFFFB FD9F6AEF FEEE76B6
    FD8F72EF";

fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Bloom {
    let mut bloom = Bloom::new();
    addresses.into_iter().for_each(|ip| bloom.insert(ip));
    bloom
}

fn vector() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..=255).map(|last| IpAddr::from([192, 0, 2, last]));
    v4.chain((0..=0x3e7).map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])))
}

#[test]
fn the_vector_of_bep_33() {
    let digits: String = BEP_33.split_whitespace().collect();
    let expected: Vec<u8> =
        (0..256).map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap()).collect();
    let bloom = of(vector());
    assert_eq!(bloom.bytes()[..], expected[..]);
    // 1,224.93089, of which the BEP cuts the last digit off.
    assert_eq!((bloom.estimate().count * 10_000.0).floor(), 12_249_308.0);
    assert!(vector().all(|ip| bloom.contains(ip)));
    assert_eq!(Bloom::from_bytes(bloom.bytes()), bloom);
}

#[test]
fn the_ends_are_finite() {
    let empty = Bloom::default().estimate();
    assert_eq!((empty.count, empty.error), (0.0, 0.0));
    assert!(empty.count.is_sign_positive());
    let ones = Bloom::from_bytes(&[255; 256]);
    assert_eq!((ones.zeros(), ones.is_full()), (0, true));
    assert_eq!(ones.estimate().count.round(), 7_806.0);
    assert_eq!(ones.estimate().error.round(), 1_022.0);
    assert!(ones.contains(Ipv4Addr::LOCALHOST.into()));
}

/// A filter with so many zero bits.
fn with_zeros(zeros: usize) -> Bloom {
    let mut bytes = [255; 256];
    (0..zeros).for_each(|bit| bytes[bit / 8] &= !(1 << (bit % 8)));
    Bloom::from_bytes(&bytes)
}

#[test]
fn estimate_and_error_are_those_of_the_formula() {
    for zeros in 1..2_048 {
        let bloom = with_zeros(zeros);
        assert_eq!(bloom.zeros() as usize, zeros);
        let (all, zeros) = (2_048.0_f64, zeros as f64);
        let count = (zeros / all).ln() / (2.0 * (1.0 - 1.0 / all).ln());
        let error = (all * (all / zeros - 1.0 - (all / zeros).ln())).sqrt() / 2.0;
        let estimate = bloom.estimate();
        assert!((estimate.count - count).abs() <= 1e-9 * count, "{estimate:?} {count}");
        assert!((estimate.error - error).abs() <= 1e-6 * error, "{estimate:?} {error}");
        assert_eq!(bloom.is_full(), count > 6_000.0, "{estimate:?}");
    }
}

fn random_addresses(random: &mut ChaCha8Rng, most: u32) -> BTreeSet<IpAddr> {
    let v6 = random.next_u32().is_multiple_of(2);
    let mut set = BTreeSet::new();
    while set.len() < most as usize {
        set.insert(match v6 {
            true => Ipv6Addr::from_bits(u128::from(random.next_u64()) << 64 | 1).into(),
            false => Ipv4Addr::from_bits(random.next_u32()).into(),
        });
    }
    set
}

#[test]
fn the_estimate_is_as_good_as_it_says() {
    let mut random = ChaCha8Rng::seed_from_u64(33);
    for (size, sets) in [(10, 400), (30, 400), (100, 300), (500, 200), (2_000, 150), (5_000, 100)] {
        let (mut within, mut squares) = (0, 0.0);
        for _ in 0..sets {
            let addresses = random_addresses(&mut random, size);
            let estimate = of(addresses).estimate();
            let off = estimate.count - f64::from(size);
            // Counts are whole halves, which is more than the error while there are few.
            assert!(off.abs() <= 4.0 * estimate.error + 1.0, "{size}: {estimate:?}");
            within += i32::from(off.abs() <= 2.0 * estimate.error);
            squares += (off / estimate.error).powi(2);
        }
        assert!(within * 100 >= sets * 90, "{size}: {within} of {sets} within two errors");
        let mean = squares / f64::from(sets);
        assert!((0.6..1.6).contains(&mean), "{size}: the error is off by {}", mean.sqrt());
    }
}

proptest! {
    #[test]
    fn union_is_merge_and_nothing_is_lost(
        left in vec(any::<IpAddr>(), 0..200),
        right in vec(any::<IpAddr>(), 0..200),
        stranger in any::<IpAddr>(),
    ) {
        let [a, b] = [of(left.clone()), of(right.clone())];
        let mut merged = a;
        merged.merge(b.bytes());
        prop_assert_eq!(merged, of(left.iter().chain(&right).copied()));
        prop_assert_eq!(merged, { let mut other = b; other.merge(a.bytes()); other });
        prop_assert!(left.iter().chain(&right).all(|ip| merged.contains(*ip)));
        prop_assert!(merged.zeros() <= a.zeros().min(b.zeros()));
        prop_assert!(merged.estimate().count >= a.estimate().count.max(b.estimate().count));
        let again = { let mut again = merged; again.merge(a.bytes()); again };
        prop_assert_eq!(again, merged);
        let mut more = merged;
        more.insert(stranger);
        prop_assert!(more.contains(stranger) && more.zeros() + 2 >= merged.zeros());
        prop_assert_eq!(merged.contains(stranger), more == merged);
    }

    #[test]
    fn any_256_bytes_are_a_filter(bytes in vec(any::<u8>(), 256), ip in any::<IpAddr>()) {
        let bloom = Bloom::from_bytes(&bytes.try_into().unwrap());
        let estimate = bloom.estimate();
        prop_assert!(estimate.count.is_finite() && estimate.error.is_finite());
        prop_assert!(estimate.count >= 0.0 && estimate.error >= 0.0);
        let _ = bloom.contains(ip);
    }
}
