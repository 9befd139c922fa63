// The files of images in directories, and images as one file: extract, render, export.
#pragma once

#include "cli/cooper/command.h"

namespace cooper::cli {

const Command& extract_command();
const Command& render_command();
const Command& export_command();

}  // namespace cooper::cli
