//! A stripe that arrives in pieces hands out every column once, and only when it is complete.

use allotrope_ec::{Arrival, StripeOverflow};
use proptest::prelude::*;

use crate::layouts;

proptest! {
    #[test]
    fn every_column_is_coded_once_and_not_too_early(
        layout in layouts(),
        pieces in prop::collection::vec(0u64..9000, 0..40),
    ) {
        let (mut stripe, mut arrived, mut coded) = (Arrival::new(layout), 0, 0);
        for piece in pieces {
            let piece = piece.min(stripe.room());
            arrived += piece;
            let ready = stripe.arrived(piece).unwrap();
            prop_assert_eq!(ready.start, coded, "columns come in order");
            coded = ready.end;
            let last_cell = (layout.scheme().data() as u64 - 1) * layout.cell_len() as u64;
            prop_assert_eq!(coded as u64, arrived.saturating_sub(last_cell), "what the last cell holds is complete");
        }
        let rest = stripe.finish();
        prop_assert_eq!(rest.start, coded);
        prop_assert_eq!(rest.end as u64, arrived.min(layout.cell_len() as u64));
    }

    #[test]
    fn more_than_a_stripe_is_refused_and_changes_nothing(layout in layouts(), some in any::<prop::sample::Index>()) {
        let mut stripe = Arrival::new(layout);
        let some = some.index(layout.stripe_len() as usize) as u64;
        stripe.arrived(some).unwrap();
        let room = layout.stripe_len() - some;
        prop_assert_eq!(stripe.arrived(room + 1), Err(StripeOverflow { given: room + 1, room }));
        stripe.arrived(room).unwrap();
        prop_assert_eq!(stripe.finish(), layout.cell_len()..layout.cell_len());
    }
}
