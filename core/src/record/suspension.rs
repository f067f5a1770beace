//! The suspension of a record by its TezosSigner, which lifts only a suspension that it has set itself.

use super::annotations::SUSPENDED_BY_SPEC_ANNOTATION;
use super::text::SUSPEND_ROW;
use std::collections::BTreeMap;

/// Sets the row `suspend` in the `data` of a record, as `wanted` by the spec of its TezosSigner; `suspended` is what the record says now.
/// Returns what it says then: a record that a person has suspended stays suspended.
pub fn suspend_by_spec(
    data: &mut BTreeMap<String, String>,
    annotations: &mut BTreeMap<String, String>,
    wanted: bool,
    suspended: bool,
) -> bool {
    let by_spec = annotations.contains_key(SUSPENDED_BY_SPEC_ANNOTATION);
    if wanted && !suspended {
        data.insert(SUSPEND_ROW.to_owned(), "true".to_owned());
        annotations.insert(SUSPENDED_BY_SPEC_ANNOTATION.to_owned(), "true".to_owned());
    } else if !wanted && by_spec {
        data.remove(SUSPEND_ROW);
        annotations.remove(SUSPENDED_BY_SPEC_ANNOTATION);
    }
    wanted || (suspended && !by_spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn suspend_follows_the_spec_and_leaves_what_a_person_has_set() {
        let (mut data, mut annotations) = (Record::fresh().to_data(), BTreeMap::new());
        assert!(suspend_by_spec(&mut data, &mut annotations, true, false));
        assert!(Record::from_data(&data).unwrap().suspend);
        assert!(suspend_by_spec(&mut data, &mut annotations, true, true));
        assert!(!suspend_by_spec(&mut data, &mut annotations, false, true));
        assert_eq!((&data, &annotations), (&Record::fresh().to_data(), &BTreeMap::new()));

        data.insert(SUSPEND_ROW.to_owned(), "true".to_owned());
        for wanted in [true, false] {
            assert!(suspend_by_spec(&mut data, &mut annotations, wanted, true), "by hand, so it stays");
            assert!(Record::from_data(&data).unwrap().suspend);
        }
    }
}
