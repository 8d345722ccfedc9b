//! Every operation of Airbyte's public API: what it is called, where it is, what it takes and how it answers.
//!
//! Facts alone, from `endpoints.csv`. Query parameters are written `name:type`, with `!` after a name that has to be
//! given; the types are those of [`Type`], or words with bars between them.

use std::sync::LazyLock;

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `GET`, `POST`, `PATCH`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Below the API's base URL, with `{names}` where ids are.
    pub path: &'static str,
    /// Its name, as SDKs know it.
    pub operation: &'static str,
    /// The group it belongs to.
    pub tag: &'static str,
    /// Whether it is one of the seven lists that come in pages.
    pub paginated: bool,
    /// What may stand in the query.
    pub query: Vec<Parameter>,
    /// The status of an answer that means success.
    pub success: u16,
    /// What the request's body may be; none if it has none.
    pub content_types: Vec<&'static str>,
}

/// What may stand in a query or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it has to be given.
    pub required: bool,
    /// What it may be.
    pub is: Type,
}

/// What a parameter may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `uuid`
    Uuid,
    /// `uuids`, separated by commas or by repeating the parameter.
    Uuids,
    /// `text`
    Text,
    /// `texts`, likewise.
    Texts,
    /// `texts-by-name`: any parameters.
    TextsByName,
    /// `number`, of 64 bits.
    Number,
    /// `boolean`, false if absent.
    Boolean,
    /// `date-time`, RFC 3339.
    DateTime,
    /// `limit`: rows of a page.
    Limit,
    /// `offset`: rows before a page.
    Offset,
    /// `order`: `FIELD|ASC` or `FIELD|DESC`.
    Order,
    /// One of these words.
    OneOf(Vec<&'static str>),
}

/// All of them, by tag.
pub fn endpoints() -> &'static [Endpoint] {
    static ALL: LazyLock<Vec<Endpoint>> =
        LazyLock::new(|| include_str!("endpoints.csv").lines().skip(1).filter_map(Endpoint::parse).collect());
    &ALL
}

impl Endpoint {
    fn parse(line: &'static str) -> Option<Self> {
        let cells: Vec<_> = line.split(',').collect();
        let [method, path, operation, tag, paginated, query, success, content_types] = cells[..] else {
            return None;
        };
        Some(Self {
            method,
            path,
            operation,
            tag,
            paginated: paginated == "true",
            query: query.split_whitespace().map(Parameter::parse).collect::<Option<_>>()?,
            success: success.parse().ok()?,
            content_types: content_types.split_whitespace().collect(),
        })
    }

    /// What stands for the names in its path, in order.
    pub fn in_path(&self) -> impl Iterator<Item = Parameter> {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        names.map(|name| {
            let is = match name {
                "jobId" => Type::Number,
                "name" => Type::Text,
                "actorType" => Type::OneOf(vec!["source", "destination"]),
                _ => Type::Uuid,
            };
            Parameter { name, required: true, is }
        })
    }
}

impl Parameter {
    fn parse(text: &'static str) -> Option<Self> {
        let (name, is) = text.split_once(':')?;
        let required = name.ends_with('!');
        Some(Self { name: name.trim_end_matches('!'), required, is: Type::parse(is)? })
    }
}

impl Type {
    fn parse(text: &'static str) -> Option<Self> {
        Some(match text {
            "uuid" => Self::Uuid,
            "uuids" => Self::Uuids,
            "text" => Self::Text,
            "texts" => Self::Texts,
            "texts-by-name" => Self::TextsByName,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "date-time" => Self::DateTime,
            "limit" => Self::Limit,
            "offset" => Self::Offset,
            "order" => Self::Order,
            words if words.contains('|') => Self::OneOf(words.split('|').collect()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::airbyte::lists::List;

    #[test]
    fn every_line_of_the_table_is_an_operation() {
        let lines = include_str!("endpoints.csv").lines().count();
        assert_eq!((endpoints().len(), lines), (92, 93), "a line cannot be read, or the table has changed");
        let names: BTreeSet<_> = endpoints().iter().map(|endpoint| endpoint.operation).collect();
        let places: BTreeSet<_> =
            endpoints().iter().map(|endpoint| (endpoint.path, endpoint.method)).collect();
        assert_eq!((names.len(), places.len()), (92, 92));
        let paths: BTreeSet<_> = endpoints().iter().map(|endpoint| endpoint.path).collect();
        assert_eq!(paths.len(), 48);
    }

    #[test]
    fn the_lists_with_pages_are_those_that_take_a_limit_and_an_offset() {
        let mut lists = 0;
        for endpoint in endpoints().iter().filter(|endpoint| endpoint.method == "GET") {
            let path = endpoint.path.replace("{groupId}", "x");
            assert_eq!(endpoint.paginated, List::at(&path).is_some(), "{path}");
            for is in [Type::Limit, Type::Offset] {
                assert_eq!(endpoint.paginated, endpoint.query.iter().any(|one| one.is == is), "{path}");
            }
            lists += usize::from(endpoint.paginated);
        }
        assert_eq!(lists, 7);
    }

    #[test]
    fn what_a_line_says_is_what_is_read() {
        let listed =
            endpoints().iter().find(|endpoint| endpoint.operation == "listUsersWithinAnOrganization");
        let listed = listed.expect("there");
        let parameter = |name, required, is| Parameter { name, required, is };
        assert_eq!(
            listed.query,
            [
                parameter("organizationId", true, Type::Uuid),
                parameter("ids", false, Type::Uuids),
                parameter("emails", false, Type::Texts),
            ]
        );
        let token = endpoints().iter().find(|endpoint| endpoint.operation == "createAccessToken");
        let types = ["application/json", "application/x-www-form-urlencoded"];
        assert_eq!(token.expect("there").content_types, types);
        assert_eq!(Endpoint::parse("GET,/x,y,z,true,a:nonsense,200,"), None);
        assert_eq!(Endpoint::parse("GET,/x,y,z,true,200,"), None);
    }
}
