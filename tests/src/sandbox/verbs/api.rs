//! `api`: faults and delays of AWS calls, and their counts.
