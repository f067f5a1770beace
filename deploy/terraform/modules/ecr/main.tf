# A repository for each image. Tags are immutable: what is called 0.3.0 stays that, and the chart names digests anyway. There is no rule
# that deletes old images: a node that pulls the image of a running signer again must find it.

resource "aws_ecr_repository" "this" {
  for_each = toset(var.images)

  name                 = "${var.prefix}/${each.key}"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}
