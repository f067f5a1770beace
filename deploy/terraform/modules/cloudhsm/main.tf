# A CloudHSM cluster with an HSM in each subnet. Terraform cannot initialise it: its certificate is signed, and its users are made, by
# people (docs/cloudhsm.md). So it is applied twice.

resource "aws_cloudhsm_v2_cluster" "this" {
  hsm_type   = "hsm2m.medium" # hsm1.medium is out of support
  mode       = var.mode
  subnet_ids = var.subnet_ids

  tags = { Name = var.name }

  lifecycle {
    prevent_destroy = true # the keys in it exist nowhere else
  }
}

resource "aws_cloudhsm_v2_hsm" "this" {
  for_each = toset([for index, _ in var.subnet_ids : tostring(index) if index == 0 || var.initialised])

  cluster_id = aws_cloudhsm_v2_cluster.this.cluster_id
  subnet_id  = var.subnet_ids[tonumber(each.key)]
}
