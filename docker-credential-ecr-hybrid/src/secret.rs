//! Text that must never be seen: ECR passwords.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text, wiped from memory when it is dropped.
///
/// It has no `Display`, no serialisation, and no equality, and its `Debug` form says nothing, so
/// that it cannot slip into a log, an error, or a file by accident. [`Secret::expose`] is the one
/// way out, easy to find in a review.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of a secret text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that has to hand it over.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing_of_the_content() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "Secret(…)");
    }
}
