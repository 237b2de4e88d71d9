//! A document that is kept with what was found in it, to be read later and by
//! another thread without being scanned again.

use super::{JsonError, Scanner, Value};

/// A scanned text.
#[derive(Debug)]
pub struct Document {
    text: String,
    scanner: Scanner,
}

/// Where a value is in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

impl Document {
    /// Scans a text into the memory of a scanner.
    ///
    /// # Errors
    /// As [`Scanner::scan`].
    pub fn scan(text: String, mut scanner: Scanner) -> Result<Self, JsonError> {
        scanner.scan(&text)?;
        Ok(Self { text, scanner })
    }

    /// The whole of it.
    pub fn value(&self) -> Value<'_> {
        self.at(Place(0))
    }

    /// A value that is in it.
    pub fn at(&self, Place(at): Place) -> Value<'_> {
        Value { text: &self.text, nodes: &self.scanner.nodes, at }
    }

    /// The length of its text.
    pub const fn bytes(&self) -> usize {
        self.text.len()
    }

    /// How many values and names are in it.
    pub const fn values(&self) -> usize {
        self.scanner.nodes.len()
    }

    /// The memory that it took, for another one.
    pub fn into_memory(self) -> (Vec<u8>, Scanner) {
        let mut text = self.text.into_bytes();
        text.clear();
        (text, self.scanner)
    }
}

impl Value<'_> {
    /// Where it is in its document.
    pub const fn place(self) -> Place {
        Place(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_again_by_their_place() {
        let document = Document::scan(r#"{"data":[{"id":"a"},{"id":"b"}]}"#.to_owned(), Scanner::new()).unwrap();
        let places: Vec<Place> = document.value().get("data").unwrap().items().map(Value::place).collect();
        let ids = places.iter().map(|&place| document.at(place).get("id").unwrap().raw());
        assert_eq!(ids.collect::<Vec<_>>(), ["a", "b"]);
        let (text, scanner) = document.into_memory();
        assert_eq!((text.len(), text.capacity() > 0), (0, true));
        assert_eq!(Document::scan("[3]".to_owned(), scanner).unwrap().value().items().next().unwrap().raw(), "3");
        assert!(Document::scan("[3".to_owned(), Scanner::new()).is_err());
    }
}
