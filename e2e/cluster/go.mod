// The launcher of the local cluster. What it launches is pinned in upstream/*/go.mod.
module cluster

go 1.26.0
