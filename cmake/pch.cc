// The precompiled header belongs to this file; see cmake/ybis.cmake.
