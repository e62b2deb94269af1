# Writes OUTPUT, a C++ source that holds the Python of INPUT: nexus needs no installed files at run time.
file(READ ${INPUT} CONTENT)
file(WRITE ${OUTPUT} "#include \"interchange/hf_config.h\"\n\nnamespace nexus {\n\n"
     "const char* const kModelingPython = R\"NEXUS(${CONTENT})NEXUS\";\n\n}  // namespace nexus\n")
