// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeping the order of prefixes while entries come and go: one pass over what moves, however many they are.

use crate::source::intern::make_room;

/// Takes out the elements at `places`, which ascend.
pub(super) fn take_out(list: &mut Vec<u32>, places: &[usize]) {
    let Some(&first) = places.first() else { return };
    let ends = places.iter().skip(1).copied().chain([list.len()]);
    let mut to = first;
    for (&place, end) in places.iter().zip(ends) {
        list.copy_within(place + 1..end, to);
        to += end - (place + 1);
    }
    list.truncate(to);
}

/// Puts elements in: each before the one that is at its place now. Places ascend.
pub(super) fn put_in(list: &mut Vec<u32>, elements: &[(usize, u32)]) {
    let mut end = list.len();
    make_room(list, elements.len());
    list.resize(end + elements.len(), 0);
    for (ahead, &(place, element)) in elements.iter().enumerate().rev() {
        list.copy_within(place..end, place + ahead + 1);
        if let Some(slot) = list.get_mut(place + ahead) {
            *slot = element;
        }
        end = place;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_out_can_be_put_back(length in 0..40_u32, places in prop::collection::btree_set(0..40_usize, 0..40)) {
            let places: Vec<usize> = places.into_iter().filter(|&place| place < length as usize).collect();
            let whole: Vec<u32> = (0..length).collect();
            let mut list = whole.clone();
            take_out(&mut list, &places);
            let rest: Vec<u32> = (0..length).filter(|&n| !places.contains(&(n as usize))).collect();
            prop_assert_eq!(&list, &rest);
            let elements: Vec<(usize, u32)> = places.iter().enumerate().map(|(gone, &at)| (at - gone, at as u32)).collect();
            put_in(&mut list, &elements);
            prop_assert_eq!(list, whole);
        }
    }
}
