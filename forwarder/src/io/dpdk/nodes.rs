// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which device receives into the memory of which node of the machine.

use super::pool::{Node, Pool};
use super::{DeviceSpec, Error};
use crate::io::buffers::Demand;

/// The nodes, and where each device is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nodes {
    /// Every node once.
    all: Vec<Node>,
    /// For each device the index of its node.
    pub(super) of_devices: Vec<usize>,
}

impl Nodes {
    /// Of devices that are attached to `nodes`, on a machine with `several` nodes or one.
    pub(super) fn new(nodes: impl Iterator<Item = Node>, several: bool) -> Self {
        let mut all = Vec::new();
        let of_devices = nodes
            .map(|node| node.filter(|_| several))
            .map(|node| {
                all.iter().position(|known| *known == node).unwrap_or_else(|| {
                    all.push(node);
                    all.len() - 1
                })
            })
            .collect();
        Self { all, of_devices }
    }

    /// A pool on each node, large enough for the devices there.
    pub(super) fn pools(&self, devices: &[DeviceSpec], demand: Demand) -> Result<Vec<Pool>, Error> {
        let pool = |(index, node): (usize, &Node)| {
            let own = devices.iter().zip(&self.of_devices).filter(|(_, of)| **of == index).map(|(device, _)| device);
            Pool::frames(*node, &own.collect::<Vec<_>>(), devices, demand)
        };
        self.all.iter().enumerate().map(pool).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_a_node_share_a_pool() {
        let nodes = [Some(1), None, Some(0), Some(1)];
        let several = Nodes::new(nodes.into_iter(), true);
        assert_eq!(several, Nodes { all: vec![Some(1), None, Some(0)], of_devices: vec![0, 1, 2, 0] });
        let one = Nodes::new(nodes.into_iter(), false);
        assert_eq!(one, Nodes { all: vec![None], of_devices: vec![0; 4] });
    }
}
