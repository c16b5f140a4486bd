#include <iostream>

#include "cli/verb.h"

int main(int argc, char** argv) { return ybis::cli::Run(argc, argv, std::cout, std::cerr); }
