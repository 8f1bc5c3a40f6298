//! A slice of a log is the log of its sessions.

use foretaste_data::{Fractions, LogSlice, Split};
use foretaste_random::Seed;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::generate::any_dataset;

proptest! {
    #[test]
    fn a_slice_reads_as_a_copy_of_its_sessions(dataset in any_dataset(), ends in any::<[Index; 2]>()) {
        let log = dataset.log;
        let [a, b] = ends.map(|end| end.index(log.sessions() + 1));
        let (first, last) = (a.min(b), a.max(b));
        let slice = log.slice(first..last);
        let copy = log.select(&(first..last).collect::<Vec<_>>());
        prop_assert_eq!((slice.sessions(), slice.steps()), (copy.sessions(), copy.steps()));
        prop_assert_eq!(slice.iter().len(), copy.sessions());
        for (place, session) in slice.iter().enumerate() {
            prop_assert_eq!(session.index(), first + place);
            for session in [session, slice.session(place)] {
                prop_assert!(session.steps().eq(copy.session(place).steps()));
                prop_assert_eq!(session.user(), copy.session(place).user());
            }
        }
        let split = |log: LogSlice<'_>| Split::by_session(log, Fractions::default(), Seed::new(1));
        prop_assert_eq!(split(slice).unwrap(), split((&copy).into()).unwrap());
        prop_assert_eq!(slice.to_log(), copy);
    }
}

#[test]
#[should_panic(expected = "sessions 0 to 1 of a log of 0")]
fn a_slice_lies_within_its_log() {
    foretaste_data::Log::default().slice(0..1);
}
