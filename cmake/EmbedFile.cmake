# Turns a file into a C array. Used in two ways:
#
#   relay_embed_file(TARGET FILE SYMBOL)    adds the array to a library, rebuilt when the file changes
#   cmake -DINPUT=.. -DOUTPUT=.. -DSYMBOL=.. -P EmbedFile.cmake    what that rule runs
#
# The C side declares
#   extern const unsigned char SYMBOL[];    // a NUL follows the last byte
#   extern const size_t SYMBOL_len;         // without that NUL
if(CMAKE_SCRIPT_MODE_FILE)
    file(READ ${INPUT} bytes HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(REPEAT "0x..," 20 row)
    string(REGEX REPLACE "(${row})" "\\1\n" bytes "${bytes}")
    get_filename_component(name ${INPUT} NAME)
    file(WRITE ${OUTPUT} "/* Generated from ${name}. */\n#include <stddef.h>\n\n"
        "extern const unsigned char ${SYMBOL}[];\nextern const size_t ${SYMBOL}_len;\n\n"
        "const unsigned char ${SYMBOL}[] = {\n${bytes}0};\n"
        "const size_t ${SYMBOL}_len = sizeof ${SYMBOL} - 1;\n")
    return()
endif()

set(RELAY_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(relay_embed_file target file symbol)
    if(NOT TARGET ${target} OR NOT EXISTS ${CMAKE_SOURCE_DIR}/${file})
        return()
    endif()
    set(output ${CMAKE_BINARY_DIR}/embedded/${symbol}.c)
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_SOURCE_DIR}/${file} -DOUTPUT=${output}
            -DSYMBOL=${symbol} -P ${RELAY_EMBED_SCRIPT}
        DEPENDS ${CMAKE_SOURCE_DIR}/${file} ${RELAY_EMBED_SCRIPT}
        COMMENT "Embedding ${file}" VERBATIM)
    target_sources(${target} PRIVATE ${output})
endfunction()
