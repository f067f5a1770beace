# A repository for each image. Tags are immutable: those of `make images` are made of the content. There is no rule
# that deletes old images: a node that pulls the image of a running signer again must find it.

resource "aws_ecr_repository" "this" {
  for_each = toset(var.images)

  name                 = "${var.prefix}/${each.key}"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}
